#pragma once

#include "step/step.hpp"

namespace zdm {

// What a helper does: the ranges of the migration's table that no other process works on, one after
// another, until none is left, the migration's target, settings or state change, or it is aborted.
void help_backfill(Turn &turn);

}  // namespace zdm
