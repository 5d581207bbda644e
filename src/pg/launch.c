/*
 * launch.c - starting the worker.
 *
 * A migration's worker is asked for after the commit of the transaction that wants it, never
 * before: it would look for a row that it cannot see yet, and a rollback would leave it with
 * nothing. A second worker for the same database finds its claim taken, wakes the first and
 * leaves, so asking once too often is harmless.
 */
#include "pg/guard.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"

static bool wanted_at_commit = false;
static bool callback_registered = false;

/*
 * restart time: a worker that was killed takes the server down with it, as any backend; afterwards
 * the postmaster starts it again at once, with or without preload. One that leaves for want of work
 * exits with 0 and is forgotten.
 */
bool zdm_worker_launch(uint32_t database, uint32_t tablespace) {
    BackgroundWorker worker = {
        .bgw_name = "zdm worker",
        .bgw_type = "zdm worker",
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = 5,
        .bgw_library_name = "zdm",
        .bgw_function_name = "zdm_worker_main",
        .bgw_main_arg = ObjectIdGetDatum(database),
    };

    memcpy(worker.bgw_extra, &tablespace, sizeof(tablespace));
    return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* Nothing in here can fail: an error after the commit would be a PANIC. */
static void at_transaction_end(XactEvent event, void *argument) {
    if (event == XACT_EVENT_COMMIT && wanted_at_commit)
        (void)zdm_worker_launch(MyDatabaseId, MyDatabaseTableSpace);
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
        wanted_at_commit = false;
}

void zdm_worker_launch_at_commit(void) {
    if (!callback_registered) RegisterXactCallback(at_transaction_end, NULL);
    callback_registered = true;
    wanted_at_commit = true;
}

ErrorData *zdm_worker_launch_here(bool *launched) {
    GUARD_BEGIN();
    *launched = zdm_worker_launch(MyDatabaseId, MyDatabaseTableSpace);
    GUARD_END();
}

ErrorData *zdm_helper_launch_here(int64_t migration, bool *launched) {
    GUARD_BEGIN();
    BackgroundWorker worker = {
        .bgw_name = "zdm helper",
        .bgw_type = "zdm helper",
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = BGW_NEVER_RESTART,
        .bgw_library_name = "zdm",
        .bgw_function_name = "zdm_helper_main",
        .bgw_main_arg = ObjectIdGetDatum(MyDatabaseId),
    };

    memcpy(worker.bgw_extra, &migration, sizeof(migration));
    *launched = RegisterDynamicBackgroundWorker(&worker, NULL);
    GUARD_END();
}
