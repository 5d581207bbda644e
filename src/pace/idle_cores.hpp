// How many cores have nothing to do.
#pragma once

#include <optional>

namespace zdm {

// Seconds that all cores together have been idle or have waited for a disk, since the machine was
// started; empty where the system does not tell (only Linux does). What others of a machine have
// taken is not idle; a container that may use less than its machine has sees too much.
std::optional<double> idle_core_seconds();

}  // namespace zdm
