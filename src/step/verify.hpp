#pragma once

#include "step/step.hpp"

namespace zdm {

// In soak, for one table: the heaps whose sync trigger was away for a time (a partition that was
// attached, a trigger that was disabled) are verified again. Raises ZD003 where rows differ.
Outcome verify_again(Turn &turn);

}  // namespace zdm
