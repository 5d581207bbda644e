// See index_entries.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/index_entries.hpp"

#include "hot/breath.hpp"
#include "hot/dead_entries.hpp"

extern "C" {
#include "access/genam.h"
#include "access/nbtree.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/sortsupport.h"

#include "pg/version.h"
}

namespace zdm {

namespace {

// An index is in the order of the rows where so large a share of neighbours are; of so many.
constexpr double least_in_order = 0.8;
constexpr int least_to_tell = 8;

struct Entry {
    Datum *values;
    bool *nulls;
    ItemPointerData row;
    BlockNumber from;
};

struct KeyOrder {
    int keys;
    SortSupportData *support;
};

int compare_entries(const void *a, const void *b, void *argument) {
    const auto *left = static_cast<const Entry *>(a);
    const auto *right = static_cast<const Entry *>(b);
    const auto *order = static_cast<const KeyOrder *>(argument);
    for (int i = 0; i < order->keys; i++) {
        const int result = ApplySortComparator(left->values[i], left->nulls[i], right->values[i],
                                               right->nulls[i], &order->support[i]);
        if (result != 0) return result;
    }
    return ItemPointerCompare(const_cast<ItemPointer>(&left->row),
                              const_cast<ItemPointer>(&right->row));
}

bool reads_filled(const IndexInfo *info, const Bitmapset *filled) {
    Bitmapset *read = nullptr;
    pull_varattnos(reinterpret_cast<Node *>(info->ii_Expressions), 1, &read);
    pull_varattnos(reinterpret_cast<Node *>(info->ii_Predicate), 1, &read);
    for (int i = 0; i < info->ii_NumIndexAttrs; i++)
        if (info->ii_IndexAttrNumbers[i] > 0 && bms_is_member(info->ii_IndexAttrNumbers[i], filled))
            return true;
    int member = -1;
    while ((member = bms_next_member(read, member)) >= 0) {
        const int attnum = member + FirstLowInvalidHeapAttributeNumber;
        if (attnum > 0 && bms_is_member(attnum, filled)) return true;
    }
    return false;
}

void sort_entries(Relation index, Entry *entries, int count) {
    if (index->rd_rel->relam != BTREE_AM_OID || count < 2) return;  // else in heap order
    KeyOrder order = {IndexRelationGetNumberOfKeyAttributes(index), nullptr};
    order.support = static_cast<SortSupportData *>(palloc0(sizeof(SortSupportData) * order.keys));
    for (int i = 0; i < order.keys; i++) {
        SortSupport support = &order.support[i];
        support->ssup_cxt = CurrentMemoryContext;
        support->ssup_collation = index->rd_indcollation[i];
        support->ssup_nulls_first = (index->rd_indoption[i] & INDOPTION_NULLS_FIRST) != 0;
        support->ssup_attno = i + 1;
        zdm_prepare_sort_support(index, (index->rd_indoption[i] & INDOPTION_DESC) != 0, support);
    }
    qsort_arg(entries, count, sizeof(Entry), compare_entries, &order);
}

// Up or down.
bool in_order_of_rows(const Entry *entries, int count) {
    if (count < least_to_tell) return false;
    int up = 0, down = 0;
    for (int i = 1; i < count; i++) {
        if (entries[i - 1].from <= entries[i].from) up++;
        if (entries[i - 1].from >= entries[i].from) down++;
    }
    return Max(up, down) >= least_in_order * (count - 1);
}

// The entries that these rows leave behind.
void note_left(DeadEntries *dead, Relation index, const Entry *entries, int count) {
    if (dead == nullptr || index->rd_rel->relam != BTREE_AM_OID) return;
    if (!in_order_of_rows(entries, count)) return;
    // A few that are out of order may come first.
    const Entry *first = &entries[count / 256];
    dead_entries_note(dead, index, first->values, first->nulls);
}

void index_rows(const MovedRows *moved, Relation heap, Relation index, IndexInfo *info,
                EState *estate, TupleTableSlot *slot, bool check) {
    ExprContext *econtext = GetPerTupleExprContext(estate);
    const int attributes = info->ii_NumIndexAttrs;
    auto *entries = static_cast<Entry *>(palloc(sizeof(Entry) * moved->count));
    auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * attributes * moved->count));
    auto *nulls = static_cast<bool *>(palloc(sizeof(bool) * attributes * moved->count));
    int count = 0;

    econtext->ecxt_scantuple = slot;
    if (info->ii_Predicate != NIL && info->ii_PredicateState == nullptr)
        info->ii_PredicateState = ExecPrepareQual(info->ii_Predicate, estate);
    for (int i = 0; i < moved->count; i++) {
        ExecForceStoreHeapTuple(moved->rows[i], slot, false);
        if (info->ii_Predicate != NIL && !ExecQual(info->ii_PredicateState, econtext)) continue;
        Entry *entry = &entries[count];
        entry->values = values + static_cast<Size>(attributes) * count;
        entry->nulls = nulls + static_cast<Size>(attributes) * count;
        entry->row = moved->rows[i]->t_self;
        entry->from = moved->from[i];
        FormIndexDatum(info, slot, estate, entry->values, entry->nulls);
        count++;
    }
    sort_entries(index, entries, count);
    // A key over a column that is filled was another one before.
    if (!check) note_left(moved->dead, index, entries, count);
    for (int i = 0; i < count; i++) {
        CHECK_FOR_INTERRUPTS();
        breathe(Rest::shortest);
        // The unchanged hint makes the index look for dead duplicates at every full leaf, before it
        // splits it.
        (void)index_insert(index, entries[i].values, entries[i].nulls, &entries[i].row, heap,
                           check && info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
                           moved->among_dead && !check, info);
        if (check && info->ii_ExclusionOps != nullptr)
            check_exclusion_constraint(heap, index, info, &entries[i].row, entries[i].values,
                                       entries[i].nulls, estate, false);
    }
    zdm_index_insert_cleanup(index, info);
}

}  // namespace

void moved_rows_begin(MovedRows *moved, MemoryContext context) {
    moved->context = context;
    moved->count = 0;
    moved->room = 256;
    moved->among_dead = false;
    moved->dead = nullptr;
    moved->rows =
        static_cast<HeapTuple *>(MemoryContextAlloc(context, sizeof(HeapTuple) * moved->room));
    moved->from =
        static_cast<BlockNumber *>(MemoryContextAlloc(context, sizeof(BlockNumber) * moved->room));
}

void moved_rows_add(MovedRows *moved, HeapTuple row, BlockNumber from) {
    if (moved->count == moved->room) {
        moved->room *= 2;
        moved->rows =
            static_cast<HeapTuple *>(repalloc(moved->rows, sizeof(HeapTuple) * moved->room));
        moved->from =
            static_cast<BlockNumber *>(repalloc(moved->from, sizeof(BlockNumber) * moved->room));
    }
    moved->rows[moved->count] = row;
    moved->from[moved->count++] = from;
}

void moved_rows_index(MovedRows *moved, ResultRelInfo *indexes, EState *estate,
                      TupleTableSlot *slot, const Bitmapset *filled, bool only_summaries) {
    if (moved->count == 0) return;
    MemoryContext caller = MemoryContextSwitchTo(moved->context);
    for (int i = 0; i < indexes->ri_NumIndices; i++) {
        IndexInfo *info = indexes->ri_IndexRelationInfo[i];
        if (!info->ii_ReadyForInserts) continue;
        if (only_summaries && !zdm_index_is_summarizing(info)) continue;
        index_rows(moved, indexes->ri_RelationDesc, indexes->ri_IndexRelationDescs[i], info, estate,
                   slot, reads_filled(info, filled));
        ResetPerTupleExprContext(estate);
    }
    ExecClearTuple(slot);
    moved->count = 0;
    MemoryContextSwitchTo(caller);
}

}  // namespace zdm
