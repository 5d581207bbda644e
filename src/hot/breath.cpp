#include "hot/breath.hpp"

extern "C" {
#include "postgres.h"

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "portability/instr_time.h"

#include "pg/engine.h"
}

namespace {

constexpr uint64 work_us = 500;
// Whoever waits for this core gets it at once. But most wait for another one, and come over only if
// this one is idle for a while: with a microsecond the commits of a busy server queued up behind a
// pass at full speed (p99 of 30 ms instead of 5), and the pass behind them.
constexpr long rest_us = 60;
// Else the kernel makes 50 of any sleep, in order to wake up less often.
constexpr unsigned long timer_slack_ns = 1000;

bool beside_others = false;
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

void breathe() {
    if (!beside_others) return;
    instr_time now;
    INSTR_TIME_SET_CURRENT(now);
    instr_time passed = now;
    INSTR_TIME_SUBTRACT(passed, last_breath);
    if (INSTR_TIME_GET_MICROSEC(passed) < work_us) return;
    pg_usleep(rest_us);
    INSTR_TIME_SET_CURRENT(last_breath);
}

}  // namespace zdm

extern "C" void zdm_breathe_beside(bool others) {
#ifdef __linux__
    if (others && !beside_others) {
        (void)prctl(PR_SET_TIMERSLACK, timer_slack_ns);
        ask_for_short_slices();
    }
#endif
    beside_others = others;
}
