/*
 * give_way.c - a long statement that gives way: who waits for a lock that it holds ends it, as
 * autovacuum is ended.
 *
 * CREATE INDEX CONCURRENTLY and its like wait for transactions, at last for everyone who has an
 * older snapshot. Who waits for the statement's own lock meanwhile has one (ANALYZE, ALTER TABLE):
 * each would wait for the other, one of them would fail, and be it an hour later. Others have no
 * snapshot (LOCK TABLE), but everybody who wants the table queues behind them.
 */
#include "pg/guard.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "pg/give_way.h"

static const int look_every_ms = 10;

static ZdmHeld *volatile watched = NULL;
static volatile int watched_count = 0;
static ZdmGivingWay giving_way;
static ZdmWaiter gave_way_to; /* pid 0: nobody */
static TimeoutId watch = MAX_TIMEOUTS;

static bool has_waited(PGPROC *proc, TimestampTz now) {
    TimestampTz since = (TimestampTz)pg_atomic_read_u64(&proc->waitStart);

    if (giving_way.patience_ms == 0) return true;
    /* It has not written down yet since when. */
    return since != 0 && TimestampDifferenceExceeds(since, now, giving_way.patience_ms);
}

/* What that process waits for and has only because of us; NULL: nothing. */
static const ZdmHeld *awaited_by(PGPROC *proc) {
    LOCK *lock = *(LOCK *volatile *)&proc->waitLock;

    if (lock == NULL || proc == MyProc || proc->lockGroupLeader == MyProc ||
        lock->tag.locktag_type != LOCKTAG_RELATION || lock->tag.locktag_field1 != MyDatabaseId)
        return NULL;
    if (!giving_way.to_vacuum && (proc->statusFlags & PROC_IN_VACUUM)) return NULL;
    for (int i = 0; i < watched_count; i++)
        if (lock->tag.locktag_field2 == watched[i].relation &&
            DoLockModesConflict(proc->waitLockMode, watched[i].mode))
            return &watched[i];
    return NULL;
}

/*
 * In a signal handler, so without any lock: words of shared memory that stays where it is. What is
 * read while it changes is looked at again after look_every_ms, or ends a statement for nothing.
 */
static void look_for_waiters(void) {
    TimestampTz now = GetCurrentTimestamp();

    if (watched_count == 0 || gave_way_to.pid != 0) return;
    for (uint32 i = 0; i < ProcGlobal->allProcCount; i++) {
        PGPROC *proc = &ProcGlobal->allProcs[i];
        const ZdmHeld *held = awaited_by(proc);
        int pid = proc->pid;

        if (held == NULL || pid == 0 || !has_waited(proc, now)) continue;
        gave_way_to = (ZdmWaiter){pid, held->relation, proc->waitLockMode};
        QueryCancelPending = true;
        InterruptPending = true;
        return;
    }
}

void zdm_watch_waiters(const ZdmHeld *held, int count, ZdmGivingWay how) {
    Assert(watched == NULL);
    if (watch == MAX_TIMEOUTS) watch = RegisterTimeout(USER_TIMEOUT, look_for_waiters);
    watched = MemoryContextAlloc(TopMemoryContext, sizeof(ZdmHeld) * count);
    memcpy(watched, held, sizeof(ZdmHeld) * count);
    giving_way = how;
    gave_way_to = (ZdmWaiter){0};
    watched_count = count;
    enable_timeout_every(watch, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), look_every_ms),
                         look_every_ms);
}

void zdm_watch_no_more(void) {
    if (watched == NULL) return;
    disable_timeout(watch, false);
    watched_count = 0;
    pfree(watched);
    watched = NULL;
    /* The statement may have ended before it noticed. */
    if (gave_way_to.pid != 0) QueryCancelPending = false;
}

ErrorData *zdm_give_way_begin(int count, const ZdmHeld *held, int patience_ms) {
    GUARD_BEGIN();
    /* The detector's time is that of everybody else: we have given way by then, and neither side is
     * called a deadlock. */
    SetConfigOption("deadlock_timeout", NULL, PGC_SUSET, PGC_S_SESSION);
    zdm_watch_waiters(held, count, (ZdmGivingWay){Min(patience_ms, DeadlockTimeout / 2), false});
    GUARD_END();
}

ErrorData *zdm_give_way_end(ZdmWaiter *to) {
    GUARD_BEGIN();
    zdm_watch_no_more();
    *to = gave_way_to;
    /* After an error in a parallel plan only the abort can set it, and does. */
    if (!IsInParallelMode())
        SetConfigOption("deadlock_timeout", ZDM_DEADLOCK_TIMEOUT, PGC_SUSET, PGC_S_SESSION);
    GUARD_END();
}

const char *zdm_lock_mode_name(int mode) { return GetLockmodeName(DEFAULT_LOCKMETHOD, mode); }
