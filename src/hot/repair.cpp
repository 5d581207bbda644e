// Repair of one row: the untrusted side is computed from the trusted one again. Where only the old
// one has something in soak, the new one is computed from that, which is all there is. In the
// session of whoever asks, so it may wait for the row, under that session's lock_timeout. No user
// trigger fires.
//
// Hot path rules: no exceptions, no destructors, longjmp may pass.
#include "hot/hot.h"
#include "hot/index_entries.hpp"
#include "hot/page.hpp"
#include "hot/sync_program.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/snapmgr.h"

#include "pg/version.h"
}

using namespace zdm;

namespace {

// The row's latest version, locked against other writers; false where it is gone.
bool lock_latest(Relation relation, ItemPointer place, TupleTableSlot *slot) {
    TM_FailureData failure;
    if (!table_tuple_fetch_row_version(relation, place, GetActiveSnapshot(), slot)) return false;
    const TM_Result result = table_tuple_lock(
        relation, place, GetActiveSnapshot(), slot, GetCurrentCommandId(false),
        LockTupleNoKeyExclusive, LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
    return result == TM_Ok;
}

void update_row(Relation relation, HeapTuple version, ItemPointerData place,
                const Bitmapset *filled) {
    EState *estate = CreateExecutorState();
    RangeTblEntry *entry = makeNode(RangeTblEntry);
    entry->rtekind = RTE_RELATION;
    entry->relid = RelationGetRelid(relation);
    entry->relkind = relation->rd_rel->relkind;
    entry->rellockmode = RowExclusiveLock;
    zdm_init_range_table(estate, entry);
    ResultRelInfo *indexes = makeNode(ResultRelInfo);
    InitResultRelInfo(indexes, relation, 1, nullptr, 0);
    ExecOpenIndices(indexes, false);
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);

    ExecForceStoreHeapTuple(version, slot, false);
    if (RelationGetDescr(relation)->constr != nullptr) ExecConstraints(indexes, slot, estate);
    ExecClearTuple(slot);
    TM_FailureData failure;
    bool only_summaries;
    const TM_Result result = zdm_heap_update(relation, &place, version, GetCurrentCommandId(true),
                                             true, &failure, &only_summaries);
    if (result != TM_Ok) elog(ERROR, "zdm: a row that was locked could not be updated: %d", result);
    if (!HeapTupleIsHeapOnly(version) || only_summaries) {
        MovedRows moved;
        moved_rows_begin(&moved, CurrentMemoryContext);
        moved_rows_add(&moved, version, ItemPointerGetBlockNumber(&place));
        moved_rows_index(&moved, indexes, estate, slot, filled, only_summaries);
    }
    ExecCloseIndices(indexes);
    ExecDropSingleTupleTableSlot(slot);
    FreeExecutorState(estate);
}

// A foreign key may stand on the columns. Nothing here would ask it.
bool is_reference(Relation relation, const SyncSide &side) {
    ListCell *cell;
    foreach (cell, RelationGetFKeyList(relation)) {
        const auto *key = static_cast<ForeignKeyCacheInfo *>(lfirst(cell));
        for (int i = 0; i < key->nkeys; i++)
            for (int k = 0; k < side.count; k++)
                if (key->conkey[i] == side.columns[k].attnum) return true;
    }
    return false;
}

// True: the row was not consistent and is now.
bool repair(Relation relation, SyncProgram *program, TupleTableSlot *slot) {
    const bool only_old = sync_only_old_has_it(program, slot);
    const SyncSide &side = only_old ? program->new_side : program->untrusted();
    auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * program->most_columns()));
    auto *nulls = static_cast<bool *>(palloc(sizeof(bool) * program->most_columns()));
    auto *attnums = static_cast<int *>(palloc(sizeof(int) * program->most_columns()));
    sync_program_begin_row(program);
    if (sync_consistent(program, slot) || !side.fillable) return false;
    // In soak what reverse fails for leaves the old side empty, as a write of the new one does.
    if (!sync_evaluate(program, side, slot, values, nulls, nullptr) &&
        (only_old || !program->trust_new || sync_equals(side, slot, values, nulls)))
        return false;
    if (only_old && is_reference(relation, side)) return false;

    Bitmapset *filled = nullptr;
    for (int i = 0; i < side.count; i++) {
        attnums[i] = side.columns[i].attnum;
        filled = bms_add_member(filled, attnums[i]);
    }
    bool should_free;
    HeapTuple tuple = ExecFetchSlotHeapTuple(slot, true, &should_free);
    const ItemPointerData place = slot->tts_tid;
    HeapTuple version = heap_modify_tuple_by_cols(tuple, RelationGetDescr(relation), side.count,
                                                  attnums, values, nulls);
    update_row(relation, version, place, filled);
    CommandCounterIncrement();
    return true;
}

}  // namespace

extern "C" bool zdm_hot_repair(Oid relid, ZdmSyncArguments arguments, uint32 block, uint16 offset) {
    Relation relation = table_open(relid, RowExclusiveLock);
    CheckCmdReplicaIdentity(relation, CMD_UPDATE);
    SyncProgram *program =
        sync_program_build(relation, InvalidOid, arguments.count, arguments.values);
    program->scoped = true;
    TupleTableSlot *slot = table_slot_create(relation, nullptr);
    ItemPointerData place;
    ItemPointerSet(&place, block, offset);
    const bool repaired = lock_latest(relation, &place, slot) && repair(relation, program, slot);
    ExecDropSingleTupleTableSlot(slot);
    sync_program_free(program);
    table_close(relation, NoLock);
    return repaired;
}
