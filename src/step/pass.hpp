// What backfill and verify have in common: time boxes over one heap after another, each box its own
// transaction, the cursor committed with what it stands for.
#pragma once

#include <functional>

#include "state/scan.hpp"
#include "step/step.hpp"

namespace zdm {

// Sleeps so that work takes the share of time that zdm.pace allows. Returns what it slept, in ms.
double pace(const Settings &settings, double worked_ms);

// A pass gives other migrations a turn after this long.
constexpr double turn_ms = 1000;

// The cursor is saved at least this often: a crash repeats no more than that.
constexpr double save_every_ms = 300;

// Notes on the migration's row why a pass is slow, or clears that note.
void note_slowness(Turn &turn, const std::string &reason);

// Who keeps dead rows from being pruned, in words.
std::string horizon_holder();

}  // namespace zdm
