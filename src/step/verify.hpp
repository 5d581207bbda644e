#pragma once

#include "carry/carrier.hpp"
#include "step/step.hpp"

namespace zdm {

// In soak, for one table, before the side is given up (new: revert, old: contract; empty: revert,
// where no row may differ): the heaps whose sync trigger was away for a time (a partition that was
// attached, a trigger that was disabled) or could not fill the new side are verified again. Raises
// ZD003 where rows differ that have something in the side given up.
Outcome verify_again(Turn &turn, std::optional<Side> given_up);

}  // namespace zdm
