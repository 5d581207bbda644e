/*
 * pressure.c - how the server fares: what the pace of a backfill depends on and SQL cannot tell, or
 * not cheaply enough.
 */
#include "pg/guard.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "catalog/pg_tablespace_d.h"
#include "commands/tablespace.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/lsyscache.h"
#include "utils/wait_event.h"

#include "pg/version.h"

double zdm_cores(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : (double)cores;
}

/* Waits that take no core and no disk. */
static bool is_at_rest(uint32 wait_event) {
    switch (wait_event & 0xFF000000U) {
        case PG_WAIT_LOCK:
        case PG_WAIT_CLIENT:
        case PG_WAIT_ACTIVITY:
        case PG_WAIT_EXTENSION:
        case PG_WAIT_TIMEOUT:
            return true;
        default:
            return false;
    }
}

/*
 * Without ProcArrayLock: the array never moves, each field is read at once, and one session more or
 * less is no matter. A session between two statements waits for its client. A backend that ends
 * leaves its pid and role in its slot (ProcKill), and waits for nothing any more: a slot is in use
 * while its latch has an owner.
 */
int zdm_running_sessions(void) {
    int running = 0;

    for (uint32 i = 0; i < ProcGlobal->allProcCount; i++) {
        PGPROC *proc = &ProcGlobal->allProcs[i];

        if (proc->procLatch.owner_pid == 0 || !OidIsValid(proc->roleId) || proc == MyProc) continue;
        if (zdm_is_worker(proc) || (proc->statusFlags & PROC_IS_AUTOVACUUM)) continue;
        if (!is_at_rest(*(volatile uint32 *)&proc->wait_event_info)) running++;
    }
    return running;
}

uint64_t zdm_own_wal_bytes(void) { return pgWalUsage.wal_bytes; }

ErrorData *zdm_requested_checkpoints(int64_t *count) {
    GUARD_BEGIN();
    pgstat_clear_snapshot();
    *count = zdm_requested_checkpoints_of(pgstat_fetch_stat_checkpointer());
    GUARD_END();
}

ErrorData *zdm_table_waiters(uint32_t relation, int *count) {
    GUARD_BEGIN();
    LOCKTAG tag;

    SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
    *count = LockWaiterCount(&tag);
    GUARD_END();
}

static double free_bytes(const char *path) {
    struct statvfs disk;

    if (statvfs(path, &disk) != 0)
        ereport(ERROR, (errcode_for_file_access(),
                        errmsg("could not ask for free space of \"%s\": %m", path)));
    return (double)disk.f_bavail * (double)disk.f_frsize;
}

static double tablespace_free_bytes(Oid tablespace) {
    char path[MAXPGPATH];

    if (!OidIsValid(tablespace)) tablespace = MyDatabaseTableSpace;
    if (tablespace == DEFAULTTABLESPACE_OID) return free_bytes("base");
    snprintf(path, sizeof(path), "pg_tblspc/%u", tablespace);
    return free_bytes(path);
}

ErrorData *zdm_disk_free(uint32_t relation, bool of_wal, double *bytes) {
    GUARD_BEGIN();
    *bytes = of_wal ? free_bytes("pg_wal") : tablespace_free_bytes(get_rel_tablespace(relation));
    GUARD_END();
}

ErrorData *zdm_tablespace_free(const char *tablespace, double *bytes) {
    GUARD_BEGIN();
    *bytes = tablespace_free_bytes(tablespace ? get_tablespace_oid(tablespace, false) : InvalidOid);
    GUARD_END();
}
