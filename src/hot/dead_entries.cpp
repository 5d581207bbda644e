// See dead_entries.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/dead_entries.hpp"

#include "hot/breath.hpp"
#include "hot/fill_page.hpp"

extern "C" {
#include "access/genam.h"
#include "access/itup.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "catalog/pg_index.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "pg/version.h"
}

namespace zdm {

namespace {

// Of the pages that take turns; and twice as many entries as rows.
constexpr int most_entries_per_page = 32;

struct Range {
    Oid index;
    IndexTuple lowest;
};

Relation open_index(ResultRelInfo *indexes, Oid oid) {
    for (int i = 0; i < indexes->ri_NumIndices; i++)
        if (RelationGetRelid(indexes->ri_IndexRelationDescs[i]) == oid)
            return indexes->ri_IndexRelationDescs[i];
    return nullptr;
}

// From the key's first column on. False: it is NULL, or its type cannot be compared so.
bool starts_at(Relation index, IndexTuple lowest, ScanKey key) {
    const bool descending = (index->rd_indoption[0] & INDOPTION_DESC) != 0;
    const StrategyNumber strategy =
        descending ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber;
    const Oid type = index->rd_opcintype[0];
    const Oid compare = get_opfamily_member(index->rd_opfamily[0], type, type, strategy);
    bool is_null;
    const Datum value = index_getattr(lowest, 1, RelationGetDescr(index), &is_null);
    if (is_null || !OidIsValid(compare)) return false;
    ScanKeyEntryInitialize(key, 0, 1, strategy, type, index->rd_indcollation[0],
                           get_opcode(compare), value);
    return true;
}

void mark_range(Relation heap, Relation index, const Range *range, Snapshot snapshot,
                BlockNumber start, int count, const PageProgress *pages) {
    ScanKeyData key;
    if (!starts_at(index, range->lowest, &key)) return;
    TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(heap), &TTSOpsBufferHeapTuple);
    IndexScanDesc scan = zdm_index_beginscan(heap, index, snapshot, 1);
    index_rescan(scan, &key, 1, nullptr, 0);
    for (int64 left = static_cast<int64>(count) * most_entries_per_page; left > 0; left--) {
        CHECK_FOR_INTERRUPTS();
        const ItemPointer row = index_getnext_tid(scan, ForwardScanDirection);
        if (row == nullptr) break;
        const BlockNumber block = ItemPointerGetBlockNumber(row);
        if (block < start || block >= start + count || !pages[block - start].rows_left) continue;
        (void)index_fetch_heap(scan, slot);  // notes for the next call that it is dead
        ExecClearTuple(slot);
        breathe(Rest::shortest);
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
    ListCell *cell;
    foreach (cell, dead->ranges) {
        const auto *range = static_cast<Range *>(lfirst(cell));
        Relation index = open_index(indexes, range->index);
        if (index != nullptr)
            mark_range(indexes->ri_RelationDesc, index, range, snapshot, start, count, pages);
    }
    for (int i = 0; i < count; i++) pages[i].rows_left = false;
    dead_entries_forget(dead);
}

}  // namespace zdm
