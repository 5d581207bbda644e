// Beside others a pass lets go of its core for a moment, twice a millisecond.
//
// A statement that wakes up on the core that a pass keeps busy waits for the end of its slice of
// time, which Linux ends at a tick of its clock: 3 to 4 ms, several times as long as the statement
// takes. Priorities do not help where every session is a scheduling group of its own, nor does
// sched_yield, which yields inside of that group. Going to sleep does.
// Measured on two cores, beside pgbench at a quarter of its peak, 40 % of the time in boxes: its
// p99 1.7 ms instead of 3.5 (0.9 alone), for a tenth of the speed; beside 1,500 tps at full speed 5
// ms instead of 30 (4 alone), and no slower: commits that do not pile up do not hold up the pass.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

namespace zdm {

// Where no page is pinned or locked.
void breathe();

}  // namespace zdm
