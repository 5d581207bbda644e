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

static void set_cost(const char *delay, const char *limit) {
    SetConfigOption("vacuum_cost_delay", delay, PGC_USERSET, PGC_S_SESSION);
    SetConfigOption("vacuum_cost_limit", limit, PGC_USERSET, PGC_S_SESSION);
}

ErrorData *zdm_vacuum_begin(uint32_t relation, double duty, bool *locked) {
    GUARD_BEGIN();
    LOCALLOCK *local = NULL;
    char limit[16];

    SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
    *locked = zdm_lock_for_session_if_free(&tag, ShareUpdateExclusiveLock, &local);
    if (*locked) {
        if (watch == MAX_TIMEOUTS) watch = RegisterTimeout(USER_TIMEOUT, look_for_waiters);
        snprintf(limit, sizeof(limit), "%d", (int)Max(200, Min(10000, 10000 * duty)));
        set_cost(duty >= 1 ? "0" : "2ms", limit);
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
    set_cost(NULL, NULL);
    GUARD_END();
}
