/*
 * runtime.c - identity, waiting, being interrupted, locks.
 */
#include "pg/guard.h"

#include <time.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#include "pg/pinned.h"

void zdm_user_get(uint32_t *role, int *context) { GetUserIdAndSecContext(role, context); }

void zdm_user_set(uint32_t role, int context) { SetUserIdAndSecContext(role, context); }

int zdm_user_local_context(void) { return SECURITY_LOCAL_USERID_CHANGE; }

ErrorData *zdm_extension_owner(uint32_t *owner) {
    GUARD_BEGIN();
    Oid schema = get_namespace_oid("zdm", false);
    HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for schema zdm");
    *owner = ((Form_pg_namespace)GETSTRUCT(tuple))->nspowner;
    ReleaseSysCache(tuple);
    GUARD_END();
}

ZdmAsOwner zdm_as_owner_begin(uint32_t owner) {
    ZdmAsOwner as_owner;

    GetUserIdAndSecContext(&as_owner.user, &as_owner.context);
    as_owner.settings = NewGUCNestLevel();
    SetUserIdAndSecContext(owner, as_owner.context | SECURITY_LOCAL_USERID_CHANGE |
                                      SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
    return as_owner;
}

void zdm_as_owner_end(const ZdmAsOwner *as_owner) {
    AtEOXact_GUC(false, as_owner->settings);
    SetUserIdAndSecContext(as_owner->user, as_owner->context);
}

ErrorData *zdm_check_interrupts(void) {
    GUARD_BEGIN();
    CHECK_FOR_INTERRUPTS();
    GUARD_END();
}

/* Sleeps, waking early when the latch is set. Reloads configuration after SIGHUP. */
ErrorData *zdm_sleep(int64_t milliseconds) {
    GUARD_BEGIN();
    if (milliseconds > 0) {
        (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                        (long)milliseconds, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
    }
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
    }
    GUARD_END();
}

ErrorData *zdm_set_latch(int pid) {
    GUARD_BEGIN();
    PGPROC *proc = BackendPidGetProc(pid);

    if (proc != NULL) SetLatch(&proc->procLatch);
    GUARD_END();
}

ErrorData *zdm_report_activity(const char *text) {
    GUARD_BEGIN();
    pgstat_report_activity(text ? STATE_RUNNING : STATE_IDLE, text);
    GUARD_END();
}

void zdm_log(const char *message) { ereport(LOG, (errmsg_internal("%s", message))); }

double zdm_now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000.0 + now.tv_nsec / 1e6;
}

double zdm_random(void) { return pg_prng_double(&pg_global_prng_state); }

/*
 * lock_timeout counts for each lock anew, so what is left of the budget is set before each. A
 * relation that was dropped meanwhile is no error here: whoever uses it next finds out.
 */
ErrorData *zdm_lock_relations(int count, const uint32_t *relations, int mode, double timeout_ms) {
    GUARD_BEGIN();
    double deadline = zdm_now_ms() + timeout_ms;
    int nest = NewGUCNestLevel();

    for (int i = 0; i < count; i++) {
        zdm_set_lock_timeout(deadline - zdm_now_ms());
        LockRelationOid(relations[i], mode);
    }
    AtEOXact_GUC(true, nest);
    GUARD_END();
}
