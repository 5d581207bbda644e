/*
 * transaction.c - transactions for the worker, subtransactions for everyone.
 */
#include "pg/guard.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "pgstat.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

static double locks_released_ms = 0;

static void on_resource_release(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
                                void *unused) {
    (void)is_commit, (void)unused;
    if (phase == RESOURCE_RELEASE_AFTER_LOCKS && is_top_level) locks_released_ms = zdm_now_ms();
}

double zdm_locks_released_ms(void) { return locks_released_ms; }

ErrorData *zdm_transaction_begin(void) {
    static bool registered = false;
    GUARD_BEGIN();
    if (!registered) RegisterResourceReleaseCallback(on_resource_release, NULL);
    registered = true;
    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    SPI_connect();
    PushActiveSnapshot(GetTransactionSnapshot());
    GUARD_END();
}

ErrorData *zdm_transaction_commit(void) {
    GUARD_BEGIN();
    SPI_finish();
    PopActiveSnapshot();
    CommitTransactionCommand();
    GUARD_END();
}

ErrorData *zdm_transaction_abort(void) {
    GUARD_BEGIN();
    AbortCurrentTransaction();
    GUARD_END();
}

typedef struct SavedState {
    MemoryContext context;
    ResourceOwner owner;
} SavedState;

ErrorData *zdm_subtransaction_begin(void **saved) {
    GUARD_BEGIN();
    SavedState *state = palloc(sizeof(SavedState));

    state->context = CurrentMemoryContext;
    state->owner = CurrentResourceOwner;
    BeginInternalSubTransaction(NULL);
    MemoryContextSwitchTo(state->context);
    *saved = state;
    GUARD_END();
}

ErrorData *zdm_subtransaction_commit(void *saved) {
    GUARD_BEGIN();
    SavedState *state = saved;

    ReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(state->context);
    CurrentResourceOwner = state->owner;
    GUARD_END();
}

ErrorData *zdm_subtransaction_rollback(void *saved) {
    GUARD_BEGIN();
    SavedState *state = saved;

    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(state->context);
    CurrentResourceOwner = state->owner;
    GUARD_END();
}

ErrorData *zdm_procedure_commit(void) {
    GUARD_BEGIN();
    SPI_commit();
    GUARD_END();
}

/*
 * The statement may commit and start transactions, so its parse tree lives in a context of its own
 * and the snapshot that it was started under may be gone when it returns.
 */
ErrorData *zdm_run_utility(const char *sql) {
    static MemoryContext context = NULL; /* left over where the last statement failed */

    GUARD_BEGIN();
    if (context == NULL)
        context = AllocSetContextCreate(TopMemoryContext, "zdm utility", ALLOCSET_DEFAULT_SIZES);
    MemoryContextReset(context);
    PlannedStmt *statement = NULL;
    RawStmt *raw;

    SetCurrentStatementStartTimestamp();
    StartTransactionCommand();
    MemoryContextSwitchTo(context);
    raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
    statement = makeNode(PlannedStmt);
    statement->commandType = CMD_UTILITY;
    statement->canSetTag = true;
    statement->utilityStmt = raw->stmt;
    statement->stmt_location = raw->stmt_location;
    statement->stmt_len = raw->stmt_len;
    PushActiveSnapshot(GetTransactionSnapshot());
    ProcessUtility(statement, sql, false, PROCESS_UTILITY_TOPLEVEL, NULL, NULL, None_Receiver,
                   NULL);
    if (ActiveSnapshotSet()) PopActiveSnapshot();
    CommitTransactionCommand();
    MemoryContextSwitchTo(guard_context);
    GUARD_END();
}
