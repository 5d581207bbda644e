// Privileges on the columns themselves.
#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// The columns of that side get what those of the other side have, in partitions too, which have
// their own. Where the application knows both names, what has been granted on the one of that side
// stays. Paired columns only.
void share_privileges(const CarryScope &scope, Side side);

}  // namespace zdm
