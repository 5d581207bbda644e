#include "hot/breath.hpp"

#include "hot/elapsed.hpp"

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "pgstat.h"
#include "storage/lmgr.h"

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "pg/engine.h"
}

using namespace zdm;

namespace {

// At full speed a millisecond has two rests.
constexpr double longest_work_us = 500;
// Whoever waits for this core gets it at once. But most wait for another one, and come over only if
// this one is idle for a while: with a microsecond the commits of a busy server queued up behind a
// pass at full speed (p99 of 30 ms instead of 5), and the pass behind them.
constexpr double shortest_rest_us = 60;
// Whoever comes for a row of ours in a rest waits for its end. What is owed above this waits for
// the commit, which lets go of the rows.
constexpr double longest_rest_us = 500;
// What a machine that wakes us late has given us to rest too much is not made good for ever.
constexpr double most_credit_us = 10000;
// Else the kernel makes 50 of any sleep, in order to wake up less often.
constexpr unsigned long timer_slack_ns = 1000;

bool beside_others = false;
double rest_per_work = 0;
double owed_us = 0;    // of rest; below 0: has rested more
double rested_us = 0;  // in this box
instr_time last_breath;

#ifdef __linux__

// sched_setattr(2), which not every C library declares.
struct SchedulingAttributes {
    uint32 size;
    uint32 policy;
    uint64 flags;
    int32 nice;
    uint32 priority;
    uint64 runtime_ns;
    uint64 deadline_ns;
    uint64 period_ns;
};

// Whoever wakes up on our core waits until we have had our slice, milliseconds of the kernel's own
// choice. A short one changes nothing in what is our share of the time, so that nobody waits longer
// for a lock of ours. Kernels before 6.12 take no notice. Beside pgbench at a quarter of its peak,
// at a share of 0.15: p99 of 2.5 to 3.5 ms instead of 3.2 to 5.0, the same as without us.
constexpr uint64 slice_ns = 100000;

void ask_for_short_slices() {
    SchedulingAttributes attributes{};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
    attributes.size = sizeof attributes;
    attributes.runtime_ns = slice_ns;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

#endif

}  // namespace

namespace zdm {

bool somebody_waits() {
    const TransactionId xid = GetTopTransactionIdIfAny();
    if (!TransactionIdIsValid(xid)) return false;
    LOCKTAG tag;
    SET_LOCKTAG_TRANSACTION(tag, xid);
    return LockHasWaiters(&tag, ExclusiveLock, false);
}

void breathe(Rest rest) {
    if (!beside_others) return;
    const auto worked_us = static_cast<double>(us_since(last_breath));
    const bool is_due = worked_us >= longest_work_us;
    const double would_owe_us = owed_us + worked_us * rest_per_work;
    if (!is_due && (rest == Rest::shortest || would_owe_us < shortest_rest_us)) return;
    owed_us = would_owe_us;
    INSTR_TIME_SET_CURRENT(last_breath);
    if (somebody_waits()) return;
    const double most_us = rest == Rest::shortest ? shortest_rest_us : longest_rest_us;
    pgstat_report_wait_start(PG_WAIT_EXTENSION);
    pg_usleep(static_cast<long>(Min(Max(owed_us, shortest_rest_us), most_us)));
    pgstat_report_wait_end();
    const auto slept_us = static_cast<double>(us_since(last_breath));
    rested_us += slept_us;
    owed_us -= slept_us;
    INSTR_TIME_SET_CURRENT(last_breath);
}

}  // namespace zdm

extern "C" void zdm_box_begins(bool others, double share) {
#ifdef __linux__
    if (others && !beside_others) {
        (void)prctl(PR_SET_TIMERSLACK, timer_slack_ns);
        ask_for_short_slices();
    }
#endif
    beside_others = others;
    rest_per_work = 1 / share - 1;
    owed_us = Max(Min(owed_us, 0.0), -most_credit_us);
    rested_us = 0;
    INSTR_TIME_SET_CURRENT(last_breath);
}

extern "C" double zdm_box_ends(double *rested_ms) {
    owed_us += static_cast<double>(us_since(last_breath)) * rest_per_work;
    INSTR_TIME_SET_CURRENT(last_breath);
    *rested_ms = rested_us / 1000;
    return owed_us / 1000;
}
