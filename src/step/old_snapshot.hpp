// Snapshots that were taken before the backfill had ended.
//
// Such a snapshot sees row versions whose new side is still empty. As long as the application knows
// that side under a name of zdm's only, this is no matter; under its own column's name it would
// read NULL where there is a value. So a cutover waits for them, without queueing for any lock, as
// CREATE INDEX CONCURRENTLY does before it lets queries use the index.
//
// A session between two statements of a READ COMMITTED transaction has none, however long that is
// open. Who takes a snapshot later sees all rows.
#pragma once

#include "step/step.hpp"

namespace zdm {

// Finished where there is none, else a wait that says whose. In a transaction.
Outcome after_old_snapshots(const Migration &migration, const Step &step);

}  // namespace zdm
