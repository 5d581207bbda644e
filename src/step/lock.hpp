// The one policy for every strong lock.
//
// A waiting ACCESS EXCLUSIVE stops every later reader, so: look first (a transaction that has held
// the table for seconds will not let go in milliseconds: wait without queueing), queue for at most
// zdm.lock_timeout, a tenth of it at first, step aside and come back after a growing, jittered
// pause. Several tables (those of a closure of keys, partitioned ones with their partitions) in OID
// order, all or nothing. What the lock costs others, the longest wait and the longest hold, is kept
// in zdm.step.
#pragma once

#include <functional>
#include <vector>

#include "step/step.hpp"

namespace zdm {

// Runs body under the lock, as the table's owner, in one transaction that also gives the step its
// final state (done, or undone / pending when it is taken back) where body returns Outcome done.
// mode: ZDM_ACCESS_EXCLUSIVE, ...
Outcome under_lock(Turn &turn, const Step &step, int mode, const std::function<Outcome()> &body,
                   const std::string &final_state = "done");

struct LockRequest {
    std::vector<uint32_t> relations;  // indexes too; empty: those of the step
    int mode = ZDM_ACCESS_EXCLUSIVE;
    std::string final_state = "done";
    // body reads every row. So the migration's row is not held, for callers to steer; an abort
    // cancels body (step/interruptible.hpp), and it gives way (step/giving_way.hpp).
    bool takes_long = false;
    uint32_t referenced = 0;  // by a foreign key that is proved: ROW SHARE, after the others
};
Outcome under_lock_on(Turn &turn, const Step &step, const LockRequest &request,
                      const std::function<Outcome()> &body);

// Who holds a table (or a partition of it) so that others may not lock it in that mode, in words;
// "" = nobody any more. Asks for no lock itself.
std::string table_holder(uint32_t relation, int mode);

// With its partitions, by OID.
std::vector<uint32_t> with_partitions(const std::vector<uint32_t> &tables);

// How long an attempt queues. Most transactions are over within a few milliseconds; one that is not
// (its commit waits for a slow disk, say) would keep all who stand behind us waiting as long as us.
int lock_patience_ms(const Turn &turn, const Step &step);

// Pause before the next attempt: short at first, at most a minute, +-25 %.
int64_t retry_pause_ms(int attempts);

}  // namespace zdm
