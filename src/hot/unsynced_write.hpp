// zdm.unsynced_write, the trigger's half: state/unsynced_write.hpp has the worker's.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

#include "hot/sync_program.hpp"

extern "C" {
#include "commands/trigger.h"
}

namespace zdm {

// Notes, in the writer's own subtransaction, that a row is being written whose new side could not
// be filled, so that no cutover passes over it; once a subtransaction. Needs no grant. Raises query
// cancel and shutdown and nothing else: a note that cannot be written is a warning.
void note_unsynced_write(SyncProgram *program, const TriggerData *data, bool old_has_it);
bool has_noted_unsynced_write(const SyncProgram *program);

}  // namespace zdm
