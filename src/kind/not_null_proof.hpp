// NOT NULL online: a CHECK that is imposed NOT VALID, proved, and then stands for the scan that SET
// NOT NULL would do under lock (tablecmds.c, NotNullImpliedByRelConstraints).
#pragma once

#include "kind/draft.hpp"

namespace zdm {

// impose_constraint, prove_constraint for each column, then require_not_null for each.
std::vector<Step> not_null_steps(const Table &table, const Migration &migration,
                                 const std::vector<std::string> &columns);

}  // namespace zdm
