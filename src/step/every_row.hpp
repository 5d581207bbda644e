// Before a side is given up for good or for now: rows that were written while the sync trigger was
// away, or that it could not fill, may have a value in that side alone.
#pragma once

#include "carry/carrier.hpp"
#include "step/step.hpp"

namespace zdm {

// In soak, of all tables. Puts sync triggers back that were disabled or dropped (ACCESS EXCLUSIVE,
// under the lock policy), then has the heaps verified again of which nobody knows that the other
// side has followed. Raises ZD003 where a row would lose a value, ZD001 where the expressions do
// not fit the table any more.
Outcome know_every_row(Turn &turn, const Step &step, Side given_up);

// There may be rows that would lose a value with that side.
bool has_doubtful_rows(const Migration &migration, Side given_up);

}  // namespace zdm
