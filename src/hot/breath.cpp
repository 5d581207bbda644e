#include "hot/breath.hpp"

#include "hot/elapsed.hpp"

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "pgstat.h"
#include "storage/lmgr.h"

#include "pg/engine.h"
}

using namespace zdm;

namespace {

// At full speed a millisecond has two rests.
constexpr double longest_work_us = 500;
// A rest costs some 20 us: two switches, a timer, cold caches; and whoever has the core when
// it ends is put off it. Beside pgbench at a quarter of its peak and at half of it, at shares of
// 0.15 and 0.1, against a rest after every page (some 60): 3.8 us a row instead of 6.5, so a fifth
// more rows; p99 2.5 and 3.3 ms instead of 3.1 and 4.5. Three and four times as much is no better.
constexpr double shortest_work_us = 150;
// Whoever waits for this core gets it at once. But most wait for another one, and come over only if
// this one is idle for a while: with a microsecond the commits of a busy server queued up behind a
// pass at full speed (p99 of 30 ms instead of 5), and the pass behind them.
constexpr double shortest_rest_us = 60;
// Whoever comes for a row of ours in a rest waits for its end. What is owed above this waits for
// the commit, which lets go of the rows.
constexpr double longest_rest_us = 500;
// What a machine that wakes us late has given us to rest too much is not made good for ever.
constexpr double most_credit_us = 10000;

bool beside_others = false;
double rest_per_work = 0;
double owed_us = 0;    // of rest; below 0: has rested more
double rested_us = 0;  // in this box
instr_time last_breath;

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
    if (worked_us < shortest_work_us) return;
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
