#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// The columns of all tables whose columns are paired, for a statement's FROM, those of partitions
// too: source and target, rows of pg_attribute, target the one of that side; and both_names,
// whether the application knows both. "" where there are none.
std::string column_pairs(const std::vector<const CarryScope *> &scopes, Side side);

}  // namespace zdm
