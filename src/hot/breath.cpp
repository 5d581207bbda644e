#include "hot/breath.hpp"

extern "C" {
#include "postgres.h"

#ifdef __linux__
#include <sys/prctl.h>
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
    if (others && !beside_others) (void)prctl(PR_SET_TIMERSLACK, timer_slack_ns);
#endif
    beside_others = others;
}
