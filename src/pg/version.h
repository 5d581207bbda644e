/*
 * version.h - every difference between server versions 15 to 18 (ready for 19), and nothing else.
 */
#pragma once

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "zdm needs PostgreSQL 15 or later"
#endif

#include "access/genam.h"
#include "access/stratnum.h"
#include "nodes/execnodes.h"
#include "parser/parse_type.h"

/* 16 reports errors softly where asked to. */
static inline void zdm_parse_type_string(const char *text, Oid *type, int32 *typmod) {
#if PG_VERSION_NUM >= 160000
    (void)parseTypeString(text, type, typmod, NULL);
#else
    parseTypeString(text, type, typmod, false);
#endif
}

#include "access/heapam.h"
#include "utils/sortsupport.h"

/* 18 names the direction instead of the strategy. */
static inline void zdm_prepare_sort_support(Relation index, bool descending, SortSupport support) {
#if PG_VERSION_NUM >= 180000
    PrepareSortSupportFromIndexRel(index, descending, support);
#else
    PrepareSortSupportFromIndexRel(
        index, descending ? BTGreaterStrategyNumber : BTLessStrategyNumber, support);
#endif
}

/* 17 lets access methods keep state between insertions. */
static inline void zdm_index_insert_cleanup(Relation index, IndexInfo *info) {
#if PG_VERSION_NUM >= 170000
    index_insert_cleanup(index, info);
#else
    (void)index;
    (void)info;
#endif
}

/* 16 tells which indexes need entries; for us the tuple's HEAP_ONLY flag says so in every version,
 * because a backfill changes no column that a summarizing index reads without being told. */
static inline TM_Result zdm_heap_update(Relation relation, ItemPointer row, HeapTuple tuple,
                                        CommandId command, bool wait, TM_FailureData *failure) {
    LockTupleMode mode;
#if PG_VERSION_NUM >= 160000
    TU_UpdateIndexes update_indexes;

    return heap_update(relation, row, tuple, command, InvalidSnapshot, wait, failure, &mode,
                       &update_indexes);
#else
    return heap_update(relation, row, tuple, command, InvalidSnapshot, wait, failure, &mode);
#endif
}

#include "executor/executor.h"

/* 16 split permissions from the range table, 18 wants to know which relations are unpruned. */
static inline void zdm_init_range_table(EState *estate, RangeTblEntry *entry) {
#if PG_VERSION_NUM >= 180000
    ExecInitRangeTable(estate, list_make1(entry), NIL, bms_make_singleton(1));
#elif PG_VERSION_NUM >= 160000
    ExecInitRangeTable(estate, list_make1(entry), NIL);
#else
    ExecInitRangeTable(estate, list_make1(entry));
#endif
}
