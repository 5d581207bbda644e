#pragma once

#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

// Gives the new columns the old ones' settings. Under the swap's lock.
void share_attributes(const std::vector<const CarryScope *> &scopes);

}  // namespace zdm
