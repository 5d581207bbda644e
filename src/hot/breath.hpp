// Beside others a pass rests every few pages, for as long as its share of the time asks for.
//
// A statement that wakes up on the core that a pass keeps busy waits for the end of its slice of
// time, which Linux ends at a tick of its clock: 3 to 4 ms, several times as long as the statement
// takes. Priorities do not help where every session is a scheduling group of its own, nor does
// sched_yield, which yields inside of that group. Going to sleep does.
// Measured on two cores, beside pgbench at a quarter of its peak, 40 % of the time in boxes: its
// p99 1.7 ms instead of 3.5 (0.9 alone), for a tenth of the speed; beside 1,500 tps at full speed 5
// ms instead of 30 (4 alone), and no slower: commits that do not pile up do not hold up the pass.
//
// Many short rests harm less than boxes of work with a pause after each, in which others have one
// core less to live on. Measured in the same way, at about 45,000 rows a second: p95 1.6 ms instead
// of 1.9 (1.4 beside one that does next to nothing), p99 2.4 instead of 3.3 (2.4).
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

namespace zdm {

// Of index entries the shortest ones only: their rows are to be let go of.
enum class Rest { shortest, in_proportion };

// Where no page is locked. Not while somebody waits for a row of ours.
void breathe(Rest rest = Rest::in_proportion);

// For a row that this transaction has written. (Who waits for the table itself cannot be asked for:
// our lock on it is a fast-path one, unknown to LockHasWaiters. The end of the box lets that one
// pass, and the next box asks for its lock without queueing.)
bool somebody_waits();

}  // namespace zdm
