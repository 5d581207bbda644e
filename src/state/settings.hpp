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
    double slot_retention = 0;         // share of max_slot_wal_keep_size
    double requested_checkpoints = 0;  // in five minutes
    double archive_backlog = 0;        // WAL segments
    double horizon_age = 0;            // transactions
    double dead_rows = 0;              // share of the table's rows
    double disk_free_bytes = 0;        // the only one that is a least
    double slowdown = 0;               // time a row over the least seen
    double latency_ratio = 0;          // p95 of others beside a pass over that without
    double row_waits = 0;              // a second
    double table_waiters = 0;
    std::string window;  // "22:00-06:00"; "" = always
};

// The zdm.* settings for one migration: what its owner, database and configuration file say, under
// what was set for the migration itself. Applies them to the open transaction.
struct Settings {
    int lock_timeout_ms = 0;
    int batch_time_ms = 0;
    std::string pace;  // auto, full, or the share of the time that the backfill works
    int max_workers = 1;
    int min_soak_seconds = 0;
    bool wait_for_horizon = false;
    int verify_limit = 0;
    Limits limits;
};

Settings apply_settings(const Migration &migration);

}  // namespace zdm
