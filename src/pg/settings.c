/*
 * settings.c - the zdm.* settings.
 *
 * Everybody may set them for a session: what a session has set when it starts a migration goes with
 * that migration (the worker is another process and would not know), and zdm.configure overrides
 * them afterwards.
 */
#include "pg/guard.h"

#include <limits.h>

#include "utils/guc.h"

static const struct config_enum_entry mode_options[] = {
    {"online", 0, false}, {"direct", 1, false}, {NULL, 0, false}};
static const struct config_enum_entry guard_options[] = {
    {"off", 0, false}, {"warn", 1, false}, {"enforce", 2, false}, {NULL, 0, false}};

static int mode = 0;
static int lock_timeout_ms = 50;
static int batch_time_ms = 10;
static char *pace = NULL;
static int max_workers = 1;
static int max_replica_lag_ms = 1000;
static int max_replica_lag_mb = 64;
static int max_wal_rate_kb = 0;
static double max_impact = 0.06;
static int max_slot_retention = 50;
static int max_requested_checkpoints = 2;
static int max_archive_backlog = 20;
static int max_horizon_age = 5000000;
static double max_dead_rows = 0.5;
static int min_disk_free_mb = 256;
static double max_slowdown = 5;
static double max_latency_ratio = 1.25;
static int max_row_waits = 10;
static int max_table_waiters = 1;
static char *window = NULL;
static int min_soak_seconds = 0;
static int guard_mode = 0;
static bool wait_for_horizon = false;
static int verify_limit = 10000;

/* auto, full, or a duty ratio 0.01..1 */
static bool check_pace(char **value, void **extra, GucSource source) {
    char *end;
    double ratio;

    if (pg_strcasecmp(*value, "auto") == 0 || pg_strcasecmp(*value, "full") == 0) return true;
    ratio = strtod(*value, &end);
    if (end != *value && *end == '\0' && ratio >= 0.01 && ratio <= 1) return true;
    GUC_check_errdetail("zdm.pace is auto, full, or a share of time from 0.01 to 1.");
    return false;
}

/* "22:00-06:00", or "" */
static bool check_window(char **value, void **extra, GucSource source) {
    int from_hour, from_minute, to_hour, to_minute, length = 0;

    if (**value == '\0') return true;
    if (sscanf(*value, "%2d:%2d-%2d:%2d%n", &from_hour, &from_minute, &to_hour, &to_minute,
               &length) == 4 &&
        length == 11 && (*value)[length] == '\0' && from_hour >= 0 && from_hour <= 23 &&
        to_hour >= 0 && to_hour <= 23 && from_minute >= 0 && from_minute <= 59 && to_minute >= 0 &&
        to_minute <= 59 && (from_hour != to_hour || from_minute != to_minute))
        return true;
    GUC_check_errdetail(
        "zdm.window is two times of day, as in 22:00-06:00, or empty for no limit.");
    return false;
}

void zdm_settings_define(void) {
    DefineCustomEnumVariable("zdm.mode",
                             "online, or direct: plain DDL at once in the caller's transaction.",
                             NULL, &mode, mode, mode_options, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.lock_timeout", "Longest that zdm queues for a strong lock.", NULL,
                            &lock_timeout_ms, lock_timeout_ms, 1, 60000, PGC_USERSET, GUC_UNIT_MS,
                            NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.batch_time", "Aim for one backfill transaction.", NULL,
                            &batch_time_ms, batch_time_ms, 1, 10000, PGC_USERSET, GUC_UNIT_MS, NULL,
                            NULL, NULL);
    DefineCustomStringVariable("zdm.pace",
                               "auto, full, or the share of time that the backfill works.", NULL,
                               &pace, "auto", PGC_USERSET, 0, check_pace, NULL, NULL);
    DefineCustomIntVariable("zdm.max_workers", "Parallel workers on one migration's table.", NULL,
                            &max_workers, max_workers, 1, 64, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.max_replica_lag", "Replica lag at which the backfill slows down.",
                            NULL, &max_replica_lag_ms, max_replica_lag_ms, 0, INT_MAX, PGC_USERSET,
                            GUC_UNIT_MS, NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.max_replica_lag_size",
                            "Replica lag in WAL at which the backfill slows down.", NULL,
                            &max_replica_lag_mb, max_replica_lag_mb, 0, INT_MAX, PGC_USERSET,
                            GUC_UNIT_MB, NULL, NULL, NULL);
    DefineCustomRealVariable("zdm.max_impact",
                             "Load that the backfill may add, as a share of what sessions put on "
                             "all cores times its own share of time, 0 = no limit.",
                             NULL, &max_impact, max_impact, 0, 100, PGC_USERSET, 0, NULL, NULL,
                             NULL);
    DefineCustomIntVariable("zdm.max_slot_retention",
                            "Percent of max_slot_wal_keep_size that a slot may hold before the "
                            "backfill slows down, 0 = no limit.",
                            NULL, &max_slot_retention, max_slot_retention, 0, 100, PGC_USERSET, 0,
                            NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.max_requested_checkpoints",
                            "Checkpoints before their time, in five minutes, before the backfill "
                            "slows down beside others, 0 = no limit.",
                            NULL, &max_requested_checkpoints, max_requested_checkpoints, 0, 1000,
                            PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.max_archive_backlog",
                            "WAL segments that wait for the archiver before the backfill slows "
                            "down, 0 = no limit.",
                            NULL, &max_archive_backlog, max_archive_backlog, 0, INT_MAX,
                            PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.max_horizon_age",
                            "Age of the oldest snapshot, in transactions, before the backfill "
                            "slows down, 0 = no limit.",
                            NULL, &max_horizon_age, max_horizon_age, 0, INT_MAX, PGC_USERSET, 0,
                            NULL, NULL, NULL);
    DefineCustomRealVariable("zdm.max_dead_rows",
                             "Share of dead rows in the table before the backfill slows down, 0 = "
                             "no limit.",
                             NULL, &max_dead_rows, max_dead_rows, 0, 1, PGC_USERSET, 0, NULL, NULL,
                             NULL);
    DefineCustomIntVariable("zdm.min_disk_free",
                            "Disk that stays free after all that the rest of the backfill needs, "
                            "0 = do not look.",
                            NULL, &min_disk_free_mb, min_disk_free_mb, 0, INT_MAX, PGC_USERSET,
                            GUC_UNIT_MB, NULL, NULL, NULL);
    DefineCustomRealVariable("zdm.max_slowdown",
                             "Time a row, as a multiple of the least seen, before the backfill "
                             "slows down, 0 = no limit.",
                             NULL, &max_slowdown, max_slowdown, 0, 1000, PGC_USERSET, 0, NULL, NULL,
                             NULL);
    DefineCustomRealVariable("zdm.max_latency_ratio",
                             "The 95th percentile of the latency of others' transactions beside a "
                             "pass, as a multiple of that without, before the backfill slows down, "
                             "0 = do not measure. With shared_preload_libraries.",
                             NULL, &max_latency_ratio, max_latency_ratio, 0, 1000, PGC_USERSET, 0,
                             NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.max_row_waits",
                            "Waits of others for rows of the backfill, a second, before it slows "
                            "down, 0 = no limit.",
                            NULL, &max_row_waits, max_row_waits, 0, INT_MAX, PGC_USERSET, 0, NULL,
                            NULL, NULL);
    DefineCustomIntVariable("zdm.max_table_waiters",
                            "Sessions that wait for a lock on the table before the backfill slows "
                            "down, 0 = no limit.",
                            NULL, &max_table_waiters, max_table_waiters, 0, INT_MAX, PGC_USERSET, 0,
                            NULL, NULL, NULL);
    DefineCustomStringVariable("zdm.window",
                               "Time of day in which passes over tables may run; may cross "
                               "midnight; empty = always.",
                               NULL, &window, "", PGC_USERSET, 0, check_window, NULL, NULL);
    DefineCustomIntVariable("zdm.max_wal_rate", "Own WAL a second, 0 = no limit.", NULL,
                            &max_wal_rate_kb, max_wal_rate_kb, 0, INT_MAX, PGC_USERSET, GUC_UNIT_KB,
                            NULL, NULL, NULL);
    DefineCustomIntVariable("zdm.min_soak", "Time between cutover and contract.", NULL,
                            &min_soak_seconds, min_soak_seconds, 0, INT_MAX, PGC_USERSET,
                            GUC_UNIT_S, NULL, NULL, NULL);
    DefineCustomEnumVariable("zdm.guard", "What happens to raw blocking DDL.", NULL, &guard_mode,
                             guard_mode, guard_options, PGC_USERSET, 0, NULL, NULL, NULL);
    DefineCustomBoolVariable("zdm.wait_for_horizon",
                             "Wait for old snapshots to end rather than write rows out of place.",
                             NULL, &wait_for_horizon, wait_for_horizon, PGC_USERSET, 0, NULL, NULL,
                             NULL);
    DefineCustomIntVariable(
        "zdm.verify_limit", "Discrepancies that one pass stores; all are counted.", NULL,
        &verify_limit, verify_limit, 0, INT_MAX, PGC_USERSET, 0, NULL, NULL, NULL);
    MarkGUCPrefixReserved("zdm");
}

ZdmSettings zdm_settings(void) {
    return (ZdmSettings){
        .direct = mode == 1,
        .lock_timeout_ms = lock_timeout_ms,
        .batch_time_ms = batch_time_ms,
        .pace = pace ? pace : "auto",
        .max_workers = max_workers,
        .max_replica_lag_ms = max_replica_lag_ms,
        .max_replica_lag_mb = max_replica_lag_mb,
        .max_wal_rate_kb = max_wal_rate_kb,
        .max_impact = max_impact,
        .max_slot_retention = max_slot_retention,
        .max_requested_checkpoints = max_requested_checkpoints,
        .max_archive_backlog = max_archive_backlog,
        .max_horizon_age = max_horizon_age,
        .max_dead_rows = max_dead_rows,
        .min_disk_free_mb = min_disk_free_mb,
        .max_slowdown = max_slowdown,
        .max_latency_ratio = max_latency_ratio,
        .max_row_waits = max_row_waits,
        .max_table_waiters = max_table_waiters,
        .window = window ? window : "",
        .min_soak_seconds = min_soak_seconds,
        .wait_for_horizon = wait_for_horizon,
        .verify_limit = verify_limit,
    };
}

ErrorData *zdm_setting_override(const char *name, const char *value, bool apply) {
    GUARD_BEGIN();
    (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, apply, 0,
                            false);
    GUARD_END();
}

ErrorData *zdm_setting_of_session(const char *name, const char **value) {
    GUARD_BEGIN();
    const char *now = GetConfigOption(name, false, false);
    const char *reset = GetConfigOptionResetString(name);

    *value = strcmp(now, reset) != 0 ? pstrdup(now) : NULL;
    GUARD_END();
}
