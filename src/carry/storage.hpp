#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// Gives the new columns the storage and compression of the old ones, as they are at this moment,
// where the type stays the same. ACCESS EXCLUSIVE is held.
void share_storage(const std::vector<const CarryScope *> &scopes);

}  // namespace zdm
