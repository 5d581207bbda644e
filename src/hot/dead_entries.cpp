// See dead_entries.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/dead_entries.hpp"

#include "hot/breath.hpp"

extern "C" {
#include "access/genam.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_index.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pg/version.h"
}

namespace zdm {

namespace {

// Pages that take turns have twelve rows at most, each with two entries, and some lie between.
constexpr int most_entries_per_page = 32;

struct Range {
    Oid index;
    IndexTuple lowest;
};

// What a scan of one index looks for.
struct Target {
    BlockNumber start;
    int count;
    const bool *markable;  // for each page
};

Relation open_index(ResultRelInfo *indexes, Oid oid) {
    for (int i = 0; i < indexes->ri_NumIndices; i++)
        if (RelationGetRelid(indexes->ri_IndexRelationDescs[i]) == oid)
            return indexes->ri_IndexRelationDescs[i];
    return nullptr;
}

// All columns but the last are as they are in the lowest key, the last goes on from there. 0: it
// cannot.
int first_keys(Relation index, IndexTuple lowest, ScanKey keys) {
    const int count = IndexRelationGetNumberOfKeyAttributes(index);
    for (int i = 0; i < count; i++) {
        bool is_null;
        const Datum value = index_getattr(lowest, i + 1, RelationGetDescr(index), &is_null);
        if (is_null && i + 1 == count) return 0;
        if (is_null) {
            ScanKeyEntryInitialize(&keys[i], SK_ISNULL | SK_SEARCHNULL, i + 1, InvalidStrategy,
                                   InvalidOid, InvalidOid, InvalidOid, Datum{});
            continue;
        }
        const bool descending = (index->rd_indoption[i] & INDOPTION_DESC) != 0;
        const StrategyNumber onwards =
            descending ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber;
        const StrategyNumber strategy = i + 1 < count ? BTEqualStrategyNumber : onwards;
        const Oid type = index->rd_opcintype[i];
        const Oid compare = get_opfamily_member(index->rd_opfamily[i], type, type, strategy);
        if (!OidIsValid(compare)) return 0;
        ScanKeyEntryInitialize(&keys[i], 0, i + 1, strategy, type, index->rd_indcollation[i],
                               get_opcode(compare), value);
    }
    return count;
}

void mark_range(Relation heap, Relation index, IndexTuple lowest, Snapshot snapshot,
                const Target &target) {
    ScanKeyData keys[INDEX_MAX_KEYS];
    const int key_count = first_keys(index, lowest, keys);
    if (key_count == 0) return;
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(heap), &TTSOpsBufferHeapTuple);
    IndexScanDesc scan = zdm_index_beginscan(heap, index, snapshot, key_count);
    index_rescan(scan, keys, key_count, nullptr, 0);
    for (int left = target.count * most_entries_per_page; left > 0; left--) {
        CHECK_FOR_INTERRUPTS();
        breathe(Rest::shortest);
        const ItemPointer row = index_getnext_tid(scan, ForwardScanDirection);
        if (row == nullptr) break;
        const BlockNumber block = ItemPointerGetBlockNumber(row);
        if (block < target.start || block >= target.start + target.count) continue;
        if (!target.markable[block - target.start]) continue;
        (void)index_fetch_heap(scan, slot);  // notes for the next call that it is dead
        ExecClearTuple(slot);
    }
    index_endscan(scan);
    ExecDropSingleTupleTableSlot(slot);
}

}  // namespace

void dead_entries_note(DeadEntries *dead, Relation index, Datum *values, bool *nulls) {
    ListCell *cell;
    foreach (cell, dead->ranges)
        if (static_cast<Range *>(lfirst(cell))->index == RelationGetRelid(index)) return;
    MemoryContext caller = MemoryContextSwitchTo(dead->context);
    auto *range = static_cast<Range *>(palloc(sizeof(Range)));
    range->index = RelationGetRelid(index);
    range->lowest = index_form_tuple(RelationGetDescr(index), values, nulls);
    dead->ranges = lappend(dead->ranges, range);
    MemoryContextSwitchTo(caller);
}

void dead_entries_forget(DeadEntries *dead) {
    dead->ranges = NIL;
    MemoryContextReset(dead->context);
}

void dead_entries_mark(DeadEntries *dead, ResultRelInfo *indexes, Snapshot snapshot,
                       BlockNumber start, int count, PageProgress *pages) {
    if (dead->ranges == NIL) return;
    Relation heap = indexes->ri_RelationDesc;
    GlobalVisState *horizon = GlobalVisTestFor(heap);
    auto *markable = static_cast<bool *>(palloc0(sizeof(bool) * count));
    bool any = false;
    for (int i = 0; i < count; i++) {
        TransactionId *moved_by = &pages[i].moved_by;
        if (!TransactionIdIsValid(*moved_by)) continue;
        if (!GlobalVisTestIsRemovableXid(horizon, *moved_by)) continue;
        markable[i] = any = true;
        *moved_by = InvalidTransactionId;
    }
    if (!any) return;
    const Target target = {start, count, markable};
    ListCell *cell;
    foreach (cell, dead->ranges) {
        const auto *range = static_cast<Range *>(lfirst(cell));
        Relation index = open_index(indexes, range->index);
        if (index != nullptr) mark_range(heap, index, range->lowest, snapshot, target);
    }
}

}  // namespace zdm
