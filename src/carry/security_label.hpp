// Security labels on the columns themselves.
#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// The columns of that side get the labels of the other side, in partitions too, which have their
// own. Of paired columns only.
void share_security_labels(const std::vector<const CarryScope *> &scopes, Side side);

}  // namespace zdm
