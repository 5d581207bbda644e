#include "state/settings.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr double kilobyte = 1024, megabyte = 1024 * 1024;

Limits limits_of(const ZdmSettings &now) {
    Limits limits;
    limits.replica_lag_ms = now.max_replica_lag_ms;
    limits.replica_lag_bytes = now.max_replica_lag_mb * megabyte;
    limits.wal_bytes_per_second = now.max_wal_rate_kb * kilobyte;
    limits.impact = now.max_impact;
    limits.slot_retention = now.max_slot_retention / 100.0;
    limits.requested_checkpoints = now.max_requested_checkpoints;
    limits.archive_backlog = now.max_archive_backlog;
    limits.horizon_age = now.max_horizon_age;
    limits.dead_rows = now.max_dead_rows;
    limits.disk_free_bytes = now.min_disk_free_mb * megabyte;
    limits.slowdown = now.max_slowdown;
    limits.latency_ratio = now.max_latency_ratio;
    limits.row_waits = now.max_row_waits;
    limits.table_waiters = now.max_table_waiters;
    limits.window = now.window;
    return limits;
}

}  // namespace

Settings apply_settings(const Migration &migration) {
    for (const auto &setting : migration.settings) {
        const size_t equals = setting.find('=');
        check(zdm_setting_override(setting.substr(0, equals).c_str(),
                                   setting.substr(equals + 1).c_str(), true));
    }
    const ZdmSettings now = zdm_settings();
    return {now.lock_timeout_ms,  now.batch_time_ms,    now.pace,         now.max_workers,
            now.min_soak_seconds, now.wait_for_horizon, now.verify_limit, limits_of(now)};
}

}  // namespace zdm
