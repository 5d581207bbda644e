/*
 * vacuum.c - a VACUUM that gives way: who waits for a lock on the table ends it, as autovacuum is
 * ended, but within milliseconds.
 */
#include "pg/guard.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/guc.h"
#include "utils/timeout.h"

#include "pg/version.h"

static const int look_every_ms = 10;

/* Ours, held for the session while VACUUM runs; so the server keeps its place in memory. */
static LOCKTAG tag;
static LOCK *volatile watched = NULL;
static volatile sig_atomic_t gave_way = false;
static TimeoutId watch = MAX_TIMEOUTS;

/* In a signal handler: one word of shared memory is read, no lock taken. */
static void look_for_waiters(void) {
    LOCK *lock = watched;

    if (lock == NULL || gave_way || lock->waitMask == 0) return;
    gave_way = true;
    QueryCancelPending = true;
    InterruptPending = true;
}

/* A page costs 1 and takes 2.5 us; one that is dirtied takes about five times as long. */
static const double stretch_cost = 200, stretch_ms = 0.5;
static const double longest_delay_ms = 100; /* that the server has */
static const double breath_ms = 0.01;       /* that the core is let go of */

static void set_cost(const char *setting, double value) {
    char text[32];

    snprintf(text, sizeof(text), "%g", value);
    SetConfigOption(setting, text, PGC_USERSET, PGC_S_SESSION);
}

static void pace(double duty, bool beside_others) {
    double delay_ms = stretch_ms * (1 / Max(duty, 0.001) - 1);

    if (beside_others) delay_ms = Max(delay_ms, breath_ms);
    set_cost("vacuum_cost_delay", Min(delay_ms, longest_delay_ms));
    set_cost("vacuum_cost_limit", stretch_cost);
    set_cost("vacuum_cost_page_dirty", 5);
}

static void end_pace(void) {
    const char *const settings[] = {"vacuum_cost_delay", "vacuum_cost_limit",
                                    "vacuum_cost_page_dirty"};

    for (int i = 0; i < lengthof(settings); i++)
        SetConfigOption(settings[i], NULL, PGC_USERSET, PGC_S_SESSION);
}

ErrorData *zdm_vacuum_begin(uint32_t relation, double duty, bool beside_others, bool *locked) {
    GUARD_BEGIN();
    LOCALLOCK *local = NULL;

    SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
    *locked = zdm_lock_for_session_if_free(&tag, ShareUpdateExclusiveLock, &local);
    if (*locked) {
        if (watch == MAX_TIMEOUTS) watch = RegisterTimeout(USER_TIMEOUT, look_for_waiters);
        pace(duty, beside_others);
        gave_way = false;
        watched = local->lock;
        enable_timeout_every(watch,
                             TimestampTzPlusMilliseconds(GetCurrentTimestamp(), look_every_ms),
                             look_every_ms);
    }
    GUARD_END();
}

ErrorData *zdm_vacuum_end(void) {
    GUARD_BEGIN();
    disable_timeout(watch, false);
    watched = NULL;
    /* VACUUM may have ended before it noticed. */
    if (gave_way) QueryCancelPending = false;
    /* Where it has failed, the end of its transaction has released this one too. */
    if (zdm_lock_is_held(&tag, ShareUpdateExclusiveLock))
        LockRelease(&tag, ShareUpdateExclusiveLock, true);
    end_pace();
    GUARD_END();
}
