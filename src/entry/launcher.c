/*
 * launcher.c - with shared_preload_libraries = 'zdm': resumes unfinished migrations.
 *
 * Dynamic workers do not survive a restart of the server, and none exists on a standby that was
 * just promoted. The launcher starts when recovery has ended and starts one worker in every
 * database; a worker that finds nothing to do leaves within milliseconds. It is connected to no
 * database itself, so it is in nobody's way. Databases for which no worker slot was free are tried
 * again.
 */
#include "pg/guard.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "entry/launcher.h"

PGDLLEXPORT void zdm_launcher_main(Datum argument);

typedef struct Database {
    Oid oid;
    Oid tablespace;
} Database;

static const long retry_ms = 5000;

void zdm_launcher_register(void) {
    BackgroundWorker worker = {
        .bgw_name = "zdm launcher",
        .bgw_type = "zdm launcher",
        .bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
        .bgw_start_time = BgWorkerStart_RecoveryFinished,
        .bgw_restart_time = 1,
        .bgw_library_name = "zdm",
        .bgw_function_name = "zdm_launcher_main",
    };

    RegisterBackgroundWorker(&worker);
}

/* All databases that one can connect to, in memory that outlives the transaction. */
static List *list_databases(MemoryContext context) {
    List *databases = NIL;
    Relation pg_database;
    TableScanDesc scan;
    HeapTuple tuple;

    StartTransactionCommand();
    (void)GetTransactionSnapshot();
    pg_database = table_open(DatabaseRelationId, AccessShareLock);
    scan = table_beginscan_catalog(pg_database, 0, NULL);
    while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL) {
        Form_pg_database form = (Form_pg_database)GETSTRUCT(tuple);
        MemoryContext old = MemoryContextSwitchTo(context);

        if (form->datallowconn) {
            Database *database = palloc(sizeof(Database));

            database->oid = form->oid;
            database->tablespace = form->dattablespace;
            databases = lappend(databases, database);
        }
        MemoryContextSwitchTo(old);
    }
    table_endscan(scan);
    table_close(pg_database, AccessShareLock);
    CommitTransactionCommand();
    return databases;
}

/* Starts a worker in each; returns those for which there was no slot. */
static List *launch_all(List *databases) {
    List *left = NIL;
    ListCell *cell;

    foreach (cell, databases) {
        Database *database = lfirst(cell);

        if (!zdm_worker_launch(database->oid, database->tablespace)) left = lappend(left, database);
    }
    return left;
}

void zdm_launcher_main(Datum argument) {
    List *databases;

    pqsignal(SIGTERM, die);
    pqsignal(SIGHUP, SignalHandlerForConfigReload);
    BackgroundWorkerUnblockSignals();
    BackgroundWorkerInitializeConnection(NULL, NULL, 0);

    databases = list_databases(TopMemoryContext);
    MemoryContextSwitchTo(TopMemoryContext);
    for (;;) {
        databases = launch_all(databases);
        (void)WaitLatch(MyLatch,
                        WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (databases == NIL ? 0 : WL_TIMEOUT),
                        retry_ms, PG_WAIT_EXTENSION);
        ResetLatch(MyLatch);
        CHECK_FOR_INTERRUPTS();
    }
}
