#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// The columns of all tables whose columns are paired, as they are called now, for a statement's
// FROM: "(VALUES ...) AS pair(root, source, target, both_names)", target the one of that side, and
// whether the application knows both names. "" where there are none.
std::string column_pairs(const std::vector<const CarryScope *> &scopes, Side side);

}  // namespace zdm
