/*
 * pressure.c - how the server fares: what the pace of a backfill depends on and SQL cannot tell, or
 * not cheaply enough.
 */
#include "pg/guard.h"

#include <unistd.h>

#include "executor/instrument.h"
#include "storage/proc.h"
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
 * less is no matter. A session between two statements waits for its client.
 */
int zdm_running_sessions(void) {
    int running = 0;

    for (uint32 i = 0; i < ProcGlobal->allProcCount; i++) {
        PGPROC *proc = &ProcGlobal->allProcs[i];

        if (proc->pid == 0 || !OidIsValid(proc->roleId) || proc == MyProc) continue;
        if (zdm_is_worker(proc) || (proc->statusFlags & PROC_IS_AUTOVACUUM)) continue;
        if (!is_at_rest(*(volatile uint32 *)&proc->wait_event_info)) running++;
    }
    return running;
}

uint64_t zdm_own_wal_bytes(void) { return pgWalUsage.wal_bytes; }
