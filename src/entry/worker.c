/*
 * worker.c - the worker's process.
 *
 * It connects as the bootstrap superuser, because a table's owner may be a role that cannot log in;
 * everything that it does to a table it does as that owner in a restricted security context, as
 * VACUUM and CREATE INDEX do.
 */
#include "entry/entry.h"

#include <unistd.h>

#include "common/relpath.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "pg/scheduling.h"
#include "worker/worker.h"

PGDLLEXPORT void zdm_worker_main(Datum argument);
PGDLLEXPORT void zdm_helper_main(Datum argument);

/* A worker that the postmaster starts again finds its database gone: leave for good. */
static void leave_if_database_is_gone(Oid database) {
    Oid tablespace;
    char *path;

    memcpy(&tablespace, MyBgworkerEntry->bgw_extra, sizeof(tablespace));
    path = GetDatabasePath(database, tablespace);
    if (access(path, F_OK) != 0) proc_exit(0);
}

/* Of the session, so that they hold in every transaction. */
static void set_session(const char *name, const char *value) {
    SetConfigOption(name, value, PGC_SUSET, PGC_S_SESSION);
}

static void connect_to(Oid database, const char *application_name) {
    zdm_schedule_gently(); /* from the first moment: a fresh process has much to look up */
    BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);

    set_session("application_name", application_name);
    set_session("search_path", ZDM_SEARCH_PATH);
    set_session("standard_conforming_strings", "on"); /* as pinned.c, for utilities too */
    set_session("statement_timeout", "0");
    set_session("idle_in_transaction_session_timeout", "0");
    set_session("default_transaction_isolation", "read committed");
    set_session("default_transaction_read_only", "off");
    set_session("row_security", "on");
    set_session("session_replication_role", "origin");
    set_session("deadlock_timeout", ZDM_DEADLOCK_TIMEOUT);
    set_session("jit", "off"); /* as spi.c pins it */
    set_session("lock_timeout", "0");
    set_session("plan_cache_mode", "auto"); /* as spi.c asks for it */
}

static void take_signals(void) {
    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
}

void zdm_worker_main(Datum argument) {
    ErrorData *error;

    take_signals();
    leave_if_database_is_gone(DatumGetObjectId(argument));
    connect_to(DatumGetObjectId(argument), "zdm worker");
    error = zdm_worker_run();
    if (error) zdm_error_raise(error);
    proc_exit(0);
}

void zdm_helper_main(Datum argument) {
    int64_t migration;
    ErrorData *error;

    memcpy(&migration, MyBgworkerEntry->bgw_extra, sizeof(migration));
    take_signals();
    connect_to(DatumGetObjectId(argument), "zdm helper");
    error = zdm_helper_run(migration);
    if (error) zdm_error_raise(error);
    proc_exit(0);
}
