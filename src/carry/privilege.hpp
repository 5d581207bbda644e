// Privileges on the columns themselves.
#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// The columns of that side get what those of the other side have, in partitions too, which have
// their own: of all the tables by one look. Where the application knows both names, what has been
// granted on the one of that side stays. Of paired columns only.
void share_privileges(const std::vector<const CarryScope *> &scopes, Side side);

}  // namespace zdm
