// Indexes that another migration is building on the columns of this one.
//
// A type change carries what is there when it looks, and its cutover takes the names of the columns
// from what is not: an index that is finished later would stay on the old column and go with it. So
// the survey and the swap wait until the other migration has finished or given up its own; that one
// waits for nobody. What it has not begun yet it builds on the columns that have the names by then.
#pragma once

#include "step/step.hpp"

namespace zdm {

// Finished where there is none, else a wait that says whose. In a transaction.
Outcome after_half_built_indexes(const Migration &migration);

}  // namespace zdm
