/*
 * trigger.c - the columns of an UPDATE OF trigger: CREATE OR REPLACE would change them, but not of
 * a constraint trigger, and it would enable what is disabled.
 */
#include "pg/guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_trigger.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"

/* One of them: a WHEN condition that reads the column has another. */
static void drop_dependency(Oid trigger, Oid relation, int attnum) {
    Relation catalog = table_open(DependRelationId, RowExclusiveLock);
    ScanKeyData keys[2];
    SysScanDesc scan;
    HeapTuple tuple;

    ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(TriggerRelationId));
    ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(trigger));
    scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 2, keys);
    while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
        Form_pg_depend form = (Form_pg_depend)GETSTRUCT(tuple);

        if (form->refclassid != RelationRelationId || form->refobjid != relation ||
            form->refobjsubid != attnum || form->deptype != DEPENDENCY_NORMAL)
            continue;
        CatalogTupleDelete(catalog, &tuple->t_self);
        break;
    }
    systable_endscan(scan);
    table_close(catalog, RowExclusiveLock);
}

static int2vector *changed_columns(const int2vector *before, int attnum, bool add) {
    int16 *columns = palloc(sizeof(int16) * (before->dim1 + 1));
    int count = 0;

    for (int i = 0; i < before->dim1; i++)
        if (before->values[i] != attnum) columns[count++] = before->values[i];
    if (add) columns[count++] = attnum;
    if (count == 0) elog(ERROR, "a trigger of no column would be one of all");
    return buildint2vector(columns, count);
}

ErrorData *zdm_trigger_change_column(uint32_t trigger, int attnum, bool add) {
    GUARD_BEGIN();
    Relation catalog = table_open(TriggerRelationId, RowExclusiveLock);
    ScanKeyData key;
    SysScanDesc scan;
    HeapTuple tuple, updated;
    Oid relation;
    Datum values[Natts_pg_trigger] = {0};
    bool nulls[Natts_pg_trigger] = {0}, replaces[Natts_pg_trigger] = {0};

    ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(trigger));
    scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
    tuple = systable_getnext(scan);
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "there is no trigger %u", trigger);
    relation = ((Form_pg_trigger)GETSTRUCT(tuple))->tgrelid;
    replaces[Anum_pg_trigger_tgattr - 1] = true;
    values[Anum_pg_trigger_tgattr - 1] =
        PointerGetDatum(changed_columns(&((Form_pg_trigger)GETSTRUCT(tuple))->tgattr, attnum, add));
    updated = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
    CatalogTupleUpdate(catalog, &updated->t_self, updated);
    systable_endscan(scan);
    table_close(catalog, RowExclusiveLock);
    if (add) {
        ObjectAddress dependent, column;

        ObjectAddressSet(dependent, TriggerRelationId, trigger);
        ObjectAddressSubSet(column, RelationRelationId, relation, attnum);
        recordDependencyOn(&dependent, &column, DEPENDENCY_NORMAL);
    } else
        drop_dependency(trigger, relation, attnum);
    CacheInvalidateRelcacheByRelid(relation);
    CommandCounterIncrement();
    GUARD_END();
}
