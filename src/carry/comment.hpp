#pragma once

#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

// The columns of that side take over the comments of the others. Under the swap's lock.
void exchange_comments(const std::vector<const CarryScope *> &scopes, Side side);

}  // namespace zdm
