// zdm.mode = direct: the plain DDL that does the same at once, in the caller's transaction and as
// the caller. Every kind puts its own into Draft::direct; what several of them need is here.
#pragma once

#include "kind/draft.hpp"

namespace zdm {

// Each old column gets the type of its counterpart, by the forward expression, in all tables of the
// draft. Defaults and the foreign keys between the columns are put down and taken up again. Nothing
// where the mode is another one; ZD004 where a view reads one of the columns.
std::vector<std::string> direct_type_change(const Table &table, const Draft &draft);

// The new columns, filled by the forward expressions, in the place of the old ones.
std::vector<std::string> direct_replacement(const Table &table, const Mapping &mapping);

}  // namespace zdm
