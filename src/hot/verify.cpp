// Verify: rows whose two sides are not consistent. Both sides are in one tuple, so the snapshot
// that sees the one sees the other, and a difference is never the fault of the moment.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/breath.hpp"
#include "hot/describe.hpp"
#include "hot/elapsed.hpp"
#include "hot/hot.h"
#include "hot/page.hpp"
#include "hot/spare_room.hpp"
#include "hot/sync_program.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/xlog.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
}

using namespace zdm;

namespace {

struct Pass {
    Relation relation;
    SyncProgram *program;
    TupleTableSlot *row;
    MemoryContext memory;       // of the caller: what is reported
    MemoryContext page_memory;  // of one page: errors of expressions, for one
    int limit;
    ZdmDiscrepancy *found;
    ZdmVerifyReport *report;
    Datum *values;
    bool *nulls;
};

ZdmDiscrepancyClass classify(const Pass *pass, bool computed) {
    const SyncSide &new_side = pass->program->new_side;
    if (pass->program->trust_new && !sync_only_old_has_it(pass->program, pass->row))
        return ZDM_REVERSE;
    if (!computed) return ZDM_ERROR;
    bool expected_null = true;
    for (int i = 0; i < new_side.count; i++) expected_null = expected_null && pass->nulls[i];
    if (sync_all_null(new_side, pass->row)) return ZDM_MISSING;
    return expected_null ? ZDM_SPURIOUS : ZDM_STALE;
}

void report_row(Pass *pass, ItemPointer place) {
    SyncProgram *program = pass->program;
    pass->report->discrepancies++;
    const bool old_given = !sync_all_null(program->old_side, pass->row);
    const bool new_given = !sync_all_null(program->new_side, pass->row);
    // Where nothing fills the old side, what it has is out of date as soon as the new one is given.
    if (old_given && (program->old_side.fillable || !new_given)) pass->report->lost_with_old++;
    if (new_given) pass->report->lost_with_new++;
    if (pass->report->stored >= pass->limit) return;

    // What the untrusted side should be, by what the trusted one is; but a value is not made NULL.
    const SyncSide &side =
        sync_only_old_has_it(program, pass->row) ? program->new_side : program->untrusted();
    char *error = nullptr;
    const bool computed =
        sync_evaluate(program, side, pass->row, pass->values, pass->nulls, &error);
    MemoryContext caller = MemoryContextSwitchTo(pass->memory);
    if (pass->found == nullptr)
        pass->found =
            static_cast<ZdmDiscrepancy *>(palloc(sizeof(ZdmDiscrepancy) * Min(pass->limit, 1024)));
    else if (pass->report->stored >= 1024 &&
             (pass->report->stored & (pass->report->stored - 1)) == 0)
        pass->found = static_cast<ZdmDiscrepancy *>(
            repalloc_huge(pass->found, sizeof(ZdmDiscrepancy) * pass->report->stored * 2));
    ZdmDiscrepancy *discrepancy = &pass->found[pass->report->stored++];
    discrepancy->class_ = classify(pass, computed);
    discrepancy->key = describe_key(pass->relation, pass->row, place);
    discrepancy->old_value = describe_side(program->old_side, pass->row, nullptr, nullptr);
    discrepancy->expected_value = computed
                                      ? describe_side(side, pass->row, pass->values, pass->nulls)
                                      : (error != nullptr ? pstrdup(error) : nullptr);
    discrepancy->actual_value = describe_side(program->new_side, pass->row, nullptr, nullptr);
    MemoryContextSwitchTo(caller);
}

// In soak the old side also has to hold the value: one that reverse makes NULL, and that forward
// does not give back, would be lost by revert.
bool fits_old_side(Pass *pass) {
    SyncProgram *program = pass->program;
    if (!program->trust_new || !sync_all_null(program->old_side, pass->row) ||
        sync_all_null(program->new_side, pass->row))
        return true;
    return sync_evaluate(program, program->new_side, pass->row, pass->values, pass->nulls,
                         nullptr) &&
           sync_equals(program->new_side, pass->row, pass->values, pass->nulls);
}

void check_page(Pass *pass, BlockNumber block, BufferAccessStrategy strategy) {
    Buffer buffer = ReadBufferExtended(pass->relation, MAIN_FORKNUM, block, RBM_NORMAL, strategy);
    PageRows rows;
    list_visible_rows(pass->relation, buffer, block, GetActiveSnapshot(), &rows);
    MemoryContext caller = MemoryContextSwitchTo(pass->page_memory);
    for (int i = 0; i < rows.count; i++) {
        HeapTupleData tuple = row_at(pass->relation, buffer, block, rows.offsets[i]);
        ExecStoreHeapTuple(&tuple, pass->row, false);
        sync_program_begin_row(pass->program);
        if (!sync_consistent(pass->program, pass->row) || !fits_old_side(pass))
            report_row(pass, &tuple.t_self);
    }
    pass->report->rows += rows.count;
    ExecClearTuple(pass->row);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(pass->page_memory);
    ReleaseBuffer(buffer);
    if (!RecoveryInProgress()) spare_room_show(pass->relation, block, rows.free_space);
}

}  // namespace

extern "C" void zdm_hot_verify(Oid relid, Oid relfilenode, ZdmSyncArguments arguments,
                               uint32 next_block, uint32 end_block, int64 budget_us, int limit,
                               ZdmVerifyReport *report) {
    MemSet(report, 0, sizeof(*report));
    report->next_block = next_block;
    if (!ConditionalLockRelationOid(relid, AccessShareLock))
        ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                        errmsg("zdm: table with OID %u is locked exclusively", relid)));
    Relation relation = try_table_open(relid, NoLock);
    if (relation == nullptr || relation->rd_rel->relfilenode != relfilenode) {
        report->rewritten = true;
        if (relation != nullptr) table_close(relation, NoLock);
        return;
    }

    instr_time start;
    INSTR_TIME_SET_CURRENT(start);
    Pass pass = {};
    pass.relation = relation;
    pass.program = sync_program_build(relation, InvalidOid, arguments.count, arguments.values);
    pass.program->scoped = true;
    pass.row = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);
    pass.memory = CurrentMemoryContext;
    pass.page_memory =
        AllocSetContextCreate(CurrentMemoryContext, "zdm verify page", ALLOCSET_DEFAULT_SIZES);
    pass.limit = limit;
    pass.report = report;
    pass.values = static_cast<Datum *>(palloc(sizeof(Datum) * pass.program->most_columns()));
    pass.nulls = static_cast<bool *>(palloc(sizeof(bool) * pass.program->most_columns()));
    BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
    // Not the caller's, which may be older than what it has done before this call.
    PushActiveSnapshot(GetTransactionSnapshot());
    const BlockNumber end = Min(end_block, RelationGetNumberOfBlocks(relation));

    BlockNumber block = next_block;
    while (block < end) {
        CHECK_FOR_INTERRUPTS();
        breathe();
        check_page(&pass, block++, strategy);
        if (budget_us > 0 && us_since(start) >= budget_us) break;
    }
    PopActiveSnapshot();
    report->next_block = block;
    report->done = block >= end;
    report->found = pass.found;
    ExecDropSingleTupleTableSlot(pass.row);
    FreeAccessStrategy(strategy);
    MemoryContextDelete(pass.page_memory);
    sync_program_free(pass.program);
    table_close(relation, NoLock);
}
