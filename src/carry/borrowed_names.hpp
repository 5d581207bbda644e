// What is made again from its text must find the column under the name that the text gives it,
// which is the other side's. Where the column has another name at that moment, it borrows that one.
#pragma once

#include <functional>
#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

// Runs body while the columns of that side have the names that the other side had (or has) before a
// swap to them. Under ACCESS EXCLUSIVE, in one transaction.
void with_borrowed_names(const std::vector<const CarryScope *> &scopes, Side side,
                         const std::function<void()> &body);

}  // namespace zdm
