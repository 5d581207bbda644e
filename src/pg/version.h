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
#include "utils/rel.h"
#include "utils/relcache.h"

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

/* 18 counts what a scan looks at. */
static inline IndexScanDesc zdm_index_beginscan(Relation heap, Relation index, Snapshot snapshot,
                                                int keys) {
#if PG_VERSION_NUM >= 180000
    return index_beginscan(heap, index, snapshot, NULL, keys, 0);
#else
    return index_beginscan(heap, index, snapshot, keys, 0);
#endif
}

#include "storage/lock.h"

/* 17 asks whether a stronger one would do. */
static inline bool zdm_lock_held(const LOCKTAG *tag, LOCKMODE mode) {
#if PG_VERSION_NUM >= 170000
    return LockHeldByMe(tag, mode, false);
#else
    return LockHeldByMe(tag, mode);
#endif
}

/* 18 asks whether a deferrable one counts. */
static inline Oid zdm_primary_key_index(Relation relation) {
#if PG_VERSION_NUM >= 180000
    return RelationGetPrimaryKeyIndex(relation, true);
#else
    return RelationGetPrimaryKeyIndex(relation);
#endif
}

/* 16 lets an update be HOT although a summarizing index (BRIN) reads a changed column, and tells
 * so: then only those indexes need an entry. Before, such an update is not HOT. */
static inline TM_Result zdm_heap_update(Relation relation, ItemPointer row, HeapTuple tuple,
                                        CommandId command, bool wait, TM_FailureData *failure,
                                        bool *only_summaries) {
    LockTupleMode mode;
#if PG_VERSION_NUM >= 160000
    TU_UpdateIndexes update_indexes = TU_None;
    TM_Result result = heap_update(relation, row, tuple, command, InvalidSnapshot, wait, failure,
                                   &mode, &update_indexes);

    *only_summaries = update_indexes == TU_Summarizing;
    return result;
#else
    *only_summaries = false;
    return heap_update(relation, row, tuple, command, InvalidSnapshot, wait, failure, &mode);
#endif
}

static inline bool zdm_index_is_summarizing(const IndexInfo *info) {
#if PG_VERSION_NUM >= 160000
    return info->ii_Summarizing;
#else
    (void)info;
    return false;
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

#include "catalog/pg_tablespace.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"

/* 16 checks rights on all kinds of objects by one function. */
static inline bool zdm_may_create_in_tablespace(Oid tablespace, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(TableSpaceRelationId, tablespace, role, ACL_CREATE) == ACLCHECK_OK;
#else
    return pg_tablespace_aclcheck(tablespace, role, ACL_CREATE) == ACLCHECK_OK;
#endif
}

/* 18 knows constraints that are only declared, and keys over periods. */
static inline bool zdm_constraint_is_enforced(const Constraint *constraint) {
#if PG_VERSION_NUM >= 180000
    return constraint->is_enforced ||
           (constraint->contype != CONSTR_CHECK && constraint->contype != CONSTR_FOREIGN);
#else
    (void)constraint;
    return true;
#endif
}

static inline bool zdm_constraint_is_temporal(const Constraint *constraint) {
#if PG_VERSION_NUM >= 180000
    return constraint->without_overlaps || constraint->fk_with_period;
#else
    (void)constraint;
    return false;
#endif
}

/* 18 adds a foreign key NOT VALID to a partitioned table. */
#define ZDM_NOT_VALID_PARTITIONED_FOREIGN_KEY (PG_VERSION_NUM >= 180000)

#include "pgstat.h"
#include "storage/proc.h"

/* 17 gave the checkpointer's statistics other names. */
static inline int64 zdm_requested_checkpoints_of(const PgStat_CheckpointerStats *stats) {
#if PG_VERSION_NUM >= 170000
    return stats->num_requested;
#else
    return stats->requested_checkpoints;
#endif
}

/* 18 says what is a session, those before what is not. */
static inline bool zdm_is_worker(const PGPROC *proc) {
#if PG_VERSION_NUM >= 180000
    return !proc->isRegularBackend;
#else
    return proc->isBackgroundWorker;
#endif
}

/* 16 tells having a role's rights from being allowed to become it. */
static inline bool zdm_can_set_role(Oid member, Oid role) {
#if PG_VERSION_NUM >= 160000
    return member_can_set_role(member, role);
#else
    return is_member_of_role(member, role);
#endif
}

#include "executor/execdesc.h"

/* 18 no longer has a flag for plans that are run once. */
#if PG_VERSION_NUM >= 180000
#define ZDM_EXECUTOR_RUN_PARAMETERS QueryDesc *query, ScanDirection direction, uint64 count
#define ZDM_EXECUTOR_RUN_ARGUMENTS query, direction, count
#else
#define ZDM_EXECUTOR_RUN_PARAMETERS \
    QueryDesc *query, ScanDirection direction, uint64 count, bool once
#define ZDM_EXECUTOR_RUN_ARGUMENTS query, direction, count, once
#endif
