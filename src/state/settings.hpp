#pragma once

#include <string>

#include "state/migration.hpp"

namespace zdm {

// The zdm.* settings for one migration: what its owner, database and configuration file say, under
// what was set for the migration itself. Applies them to the open transaction.
struct Settings {
    int lock_timeout_ms = 0;
    int batch_time_ms = 0;
    double duty = 1;  // share of the time that the backfill works: zdm.pace
    int min_soak_seconds = 0;
    bool wait_for_horizon = false;
    int verify_limit = 0;
};

Settings apply_settings(const Migration &migration);

}  // namespace zdm
