#pragma once

#include <string>

#include "state/migration.hpp"

namespace zdm {

// What a pass may do to others before it slows down, and how far before it stops. 0 = no limit.
struct Limits {
    double replica_lag_ms = 0;
    double replica_lag_bytes = 0;
    double wal_bytes_per_second = 0;
    double impact = 0;  // share of time that it works, times the cores that sessions keep busy
};

// The zdm.* settings for one migration: what its owner, database and configuration file say, under
// what was set for the migration itself. Applies them to the open transaction.
struct Settings {
    int lock_timeout_ms = 0;
    int batch_time_ms = 0;
    std::string pace;  // auto, full, or the share of the time that the backfill works
    int min_soak_seconds = 0;
    bool wait_for_horizon = false;
    int verify_limit = 0;
    Limits limits;
};

Settings apply_settings(const Migration &migration);

}  // namespace zdm
