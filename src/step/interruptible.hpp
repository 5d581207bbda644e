// Statements that may take hours: building an index, reading every row for a constraint. The worker
// cannot look at its tables in between, so it leaves a mark, a claim (pg/claim.c) that says for
// which migration it is busy; who starts a second worker after an abort (as every abort does) finds
// the mark and cancels the statement.
#pragma once

#include <string>

#include "step/step.hpp"

namespace zdm {

namespace interruption {
// False: somebody else has that claim, or the abort is under way; then without a mark.
bool mark(const Migration &migration);
void unmark(const Migration &migration, bool marked);
}  // namespace interruption

template <typename Body>
auto interruptible(const Turn &turn, Body &&body) {
    const bool marked = interruption::mark(turn.migration);
    try {
        auto result = body();
        interruption::unmark(turn.migration, marked);
        return result;
    } catch (...) {
        interruption::unmark(turn.migration, marked);
        throw;
    }
}

// Cancels what another process does for a migration that is to be aborted.
void interrupt_aborted();

}  // namespace zdm
