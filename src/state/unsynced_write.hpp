// zdm.unsynced_write: the sync trigger's notes that a row was written whose new side it could not
// fill. The writes succeed; a cutover must know of them, and in soak contract, which would drop
// what only the old side has. Their rows are found by a pass of verify.
//
// A note is of the transaction of its row. Whoever forgets notes and then looks at the table under
// a newer snapshot sees the rows of all notes that are gone. The note of a writer that is still at
// work is not seen by the DELETE and stays: it makes cutover verify once more, though that pass may
// have come to the row after all. Under the lock of a cutover no writer is left, so none is missed.
#pragma once

#include <optional>

#include "state/mapping.hpp"
#include "state/migration.hpp"

namespace zdm {

// On any of its tables. A note for another table is not the migration's: it has been written by a
// trigger that somebody has made by hand, or in a partition that is detached.
bool has_unsynced_writes(const Migration &migration);

// As one of its tables sees the migration.
// With the side given up they may lose a value: with the old one all, with the new one those that a
// trigger has left whose expressions did not fit the table, and which so has filled neither.
// Empty: with either.
bool has_unsynced_writes(const Migration &migration, std::optional<Side> given_up);
// True: there was one that has filled neither side.
bool forget_unsynced_writes(const Migration &migration);
void forget_unsynced_writes_of_finished();

// By zdm.verify, which has taken notes away and has found rows that differ.
void note_unsynced_write(const Migration &migration, bool old_has_it);

}  // namespace zdm
