// NOT NULL online: a CHECK that is imposed NOT VALID, proved, and then stands for the scan that SET
// NOT NULL would do under lock (tablecmds.c, NotNullImpliedByRelConstraints).
#pragma once

#include "kind/draft.hpp"

namespace zdm {

// What is to stand in the place of NULL (what: value, column_default) is a value. Raises 22004 for
// an expression that is NULL for every row, however it is written; given is what the message says.
void check_not_null(const Table &table, const std::string &column, const char *what,
                    const std::string &given, const std::string &canonical, const ZdmType &type);

// impose_constraint, prove_constraint for each column, then require_not_null for each.
std::vector<Step> not_null_steps(const Table &table, const Migration &migration,
                                 const std::vector<std::string> &columns);

}  // namespace zdm
