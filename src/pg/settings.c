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
static double max_impact = 0.05;
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
