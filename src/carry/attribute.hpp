#pragma once

#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

// Gives the new columns the old ones' settings. Under the lock of expand or of the swap.
void share_attributes(const std::vector<const CarryScope *> &scopes);

}  // namespace zdm
