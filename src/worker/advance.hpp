// One turn of one migration: a step towards its target, or back from it.
#pragma once

#include "step/step.hpp"

namespace zdm {

// Does a bounded piece of work and records how it went: state, message, phase. Returns after how
// many milliseconds it wants to be called again (0 = at once). Raises only what must end the
// worker. The pacer is the one of that migration.
int64_t advance(const Migration &migration, bool alone, Pacer &pacer);

}  // namespace zdm
