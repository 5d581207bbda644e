/*
 * dependency.c - dependencies that no SQL statement can make or break.
 */
#include "pg/guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * The sync trigger reads columns that only its arguments name. Without a dependency a schema tool
 * that drops columns it does not know would succeed, and the two sides would part in silence.
 */
ErrorData *zdm_trigger_depend(uint32_t relation, const char *trigger, int count,
                              const char *const *columns) {
    GUARD_BEGIN();
    ObjectAddress dependent;

    ObjectAddressSet(dependent, TriggerRelationId, get_trigger_oid(relation, trigger, false));
    for (int i = 0; i < count; i++) {
        AttrNumber attnum = get_attnum(relation, columns[i]);
        ObjectAddress column;

        if (attnum == InvalidAttrNumber)
            ereport(ERROR, errcode(ERRCODE_UNDEFINED_COLUMN),
                    errmsg("column \"%s\" of relation \"%s\" does not exist", columns[i],
                           get_rel_name(relation)));
        ObjectAddressSubSet(column, RelationRelationId, relation, attnum);
        recordDependencyOn(&dependent, &column, DEPENDENCY_NORMAL);
    }
    CommandCounterIncrement();
    GUARD_END();
}

ErrorData *zdm_constraint_bind_to_trigger(uint32_t constraint, uint32_t trigger) {
    GUARD_BEGIN();
    ObjectAddress dependent, referenced;

    ObjectAddressSet(dependent, ConstraintRelationId, constraint);
    ObjectAddressSet(referenced, TriggerRelationId, trigger);
    recordDependencyOn(&dependent, &referenced, DEPENDENCY_AUTO);
    CommandCounterIncrement();
    GUARD_END();
}

ErrorData *zdm_constraint_release_from_trigger(uint32_t constraint, uint32_t trigger) {
    GUARD_BEGIN();
    deleteDependencyRecordsForSpecific(ConstraintRelationId, constraint, DEPENDENCY_AUTO,
                                       TriggerRelationId, trigger);
    CommandCounterIncrement();
    GUARD_END();
}

/*
 * Takes a partition's index off its parent's, with the constraint that it backs, as DETACH
 * PARTITION does (tablecmds.c): there is no statement for an index alone. A constraint of the
 * partition alone, its index below one that backs none, has no parent to be taken off.
 */
ErrorData *zdm_index_detach(uint32_t index) {
    GUARD_BEGIN();
    Relation child = index_open(index, AccessExclusiveLock);
    Oid parent = get_partition_parent(index, false);
    Oid constraint = get_relation_idx_constraint_oid(child->rd_index->indrelid, index);
    Oid parent_constraint =
        get_relation_idx_constraint_oid(IndexGetRelation(parent, false), parent);

    IndexSetParentIndex(child, InvalidOid);
    if (OidIsValid(constraint) && OidIsValid(parent_constraint))
        ConstraintSetParentConstraint(constraint, InvalidOid, InvalidOid);
    index_close(child, NoLock);
    CommandCounterIncrement();
    GUARD_END();
}

/*
 * Whether a unique index refuses duplicates. In soak the old column's kept one must not: it would
 * do so before the new one does, under a name that nobody knows, and ON CONFLICT does not name it.
 * Its keys stay different all the same, for they are made of keys that are.
 */
ErrorData *zdm_index_set_unique(uint32_t index, bool unique) {
    GUARD_BEGIN();
    HeapTuple tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index));
    Form_pg_index form;
    Relation pg_index;

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "there is no index %u", index);
    form = (Form_pg_index)GETSTRUCT(tuple);
    form->indisunique = unique;
    pg_index = table_open(IndexRelationId, RowExclusiveLock);
    CatalogTupleUpdate(pg_index, &tuple->t_self, tuple);
    table_close(pg_index, RowExclusiveLock);
    CacheInvalidateRelcacheByRelid(form->indrelid);
    CacheInvalidateRelcacheByRelid(index);
    CommandCounterIncrement();
    GUARD_END();
}

static void mark_validated(Relation pg_constraint, HeapTuple constraint) {
    HeapTuple tuple = heap_copytuple(constraint);
    Form_pg_constraint form = (Form_pg_constraint)GETSTRUCT(tuple);
    ScanKeyData key;
    SysScanDesc parts;
    HeapTuple part;

    form->convalidated = true;
    CatalogTupleUpdate(pg_constraint, &tuple->t_self, tuple);
    CacheInvalidateRelcacheByRelid(form->conrelid);
    CacheInvalidateRelcacheByRelid(form->confrelid);

    ScanKeyInit(&key, Anum_pg_constraint_conparentid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(form->oid));
    parts = systable_beginscan(pg_constraint, ConstraintParentIndexId, true, NULL, 1, &key);
    while (HeapTupleIsValid(part = systable_getnext(parts))) mark_validated(pg_constraint, part);
    systable_endscan(parts);
}

/*
 * A foreign key that was added NOT VALID and is known to hold for every row: VALIDATE would scan
 * the table under the lock of the transaction. In C, for the planner expects every constraint to be
 * a part of this one and would read all of pg_constraint.
 */
ErrorData *zdm_foreign_key_mark_validated(uint32_t relation, const char *name) {
    GUARD_BEGIN();
    Relation pg_constraint = table_open(ConstraintRelationId, RowExclusiveLock);
    Oid constraint = get_relation_constraint_oid(relation, name, false);
    HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "there is no constraint %u", constraint);
    mark_validated(pg_constraint, tuple);
    ReleaseSysCache(tuple);
    table_close(pg_constraint, RowExclusiveLock);
    CommandCounterIncrement();
    GUARD_END();
}

/*
 * An index that ADD CONSTRAINT made belongs to its constraint (pg_depend, internal) and would go
 * with it. The reverse of what ADD CONSTRAINT ... USING INDEX does (index_constraint_create,
 * INDEX_CONSTR_CREATE_REMOVE_OLD_DEPS): let it depend on its columns instead, and be neither
 * primary nor excluding any more.
 */
ErrorData *zdm_constraint_release_index(uint32_t constraint) {
    GUARD_BEGIN();
    Oid index = get_constraint_index(constraint);
    HeapTuple tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index));
    Form_pg_index form;
    Relation pg_index;
    ObjectAddress dependent;

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "constraint %u has no index", constraint);
    form = (Form_pg_index)GETSTRUCT(tuple);
    deleteDependencyRecordsForClass(RelationRelationId, index, ConstraintRelationId,
                                    DEPENDENCY_INTERNAL);
    ObjectAddressSet(dependent, RelationRelationId, index);
    for (int i = 0; i < form->indnatts; i++) {
        ObjectAddress column;

        if (form->indkey.values[i] == 0) continue;
        ObjectAddressSubSet(column, RelationRelationId, form->indrelid, form->indkey.values[i]);
        recordDependencyOn(&dependent, &column, DEPENDENCY_AUTO);
    }
    form->indisprimary = false;
    form->indisexclusion = false;
    form->indimmediate = true;
    pg_index = table_open(IndexRelationId, RowExclusiveLock);
    CatalogTupleUpdate(pg_index, &tuple->t_self, tuple);
    table_close(pg_index, RowExclusiveLock);
    CacheInvalidateRelcacheByRelid(form->indrelid);
    CommandCounterIncrement();
    GUARD_END();
}
