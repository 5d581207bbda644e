// What backfill and verify have in common: time boxes over one heap after another, each box its own
// transaction, the cursor committed with what it stands for, and the pace of it all.
#pragma once

#include <functional>
#include <optional>

#include "state/scan.hpp"
#include "step/step.hpp"

namespace zdm {

// Before a box: looks at the signals when it is time to, and notes what has changed in them. Set:
// nothing may be done at present; save the cursor and return it.
std::optional<Outcome> held_back(Turn &turn, const Scan &scan);

// Whether a helper is to go on, in its caller's transaction: nobody has stopped the migration or
// changed its settings, and the worker whose helper it is still runs.
bool is_wanted(Turn &turn);

// After a box: pauses as the signals ask for. Returns for how long, in ms.
double pace(Turn &turn, const Box &box);

// A pass gives other migrations a turn after this long.
constexpr double turn_ms = 1000;

// The cursor is saved at least this often: a crash repeats no more than that.
constexpr double save_every_ms = 300;

// Notes on the migration's row why a pass is slow, or clears that note.
void note_slowness(Turn &turn, const std::string &reason);

// The same for a proof: of a constraint, by its name.
void note_every_row_read(Turn &turn, const std::string &constraint);

// Who keeps dead rows from being pruned, in words.
std::string horizon_holder();

}  // namespace zdm
