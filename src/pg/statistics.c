/*
 * statistics.c - one object of extended statistics takes another's place. As when ALTER TABLE makes
 * such an object anew, its schema and its owner stay what they are, and nobody is asked for a
 * right: whoever owns the table decides what is known of it, and no more than that is decided here.
 */
#include "pg/guard.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_statistic_ext.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

typedef struct Place {
    const char *name;
    Oid schema;
    Oid owner;
} Place;

static HeapTuple locked_copy(Oid statistics) {
    HeapTuple tuple;

    LockDatabaseObject(StatisticExtRelationId, statistics, 0, AccessExclusiveLock);
    tuple = SearchSysCacheCopy1(STATEXTOID, ObjectIdGetDatum(statistics));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "there are no statistics %u any more", statistics);
    return tuple;
}

static Place place_of(HeapTuple tuple) {
    Form_pg_statistic_ext form = (Form_pg_statistic_ext)GETSTRUCT(tuple);

    return (Place){pstrdup(NameStr(form->stxname)), form->stxnamespace, form->stxowner};
}

static void move(Relation catalog, HeapTuple tuple, Place to) {
    Form_pg_statistic_ext form = (Form_pg_statistic_ext)GETSTRUCT(tuple);
    Oid statistics = form->oid;
    Place from = place_of(tuple);

    (void)namestrcpy(&form->stxname, to.name);
    form->stxnamespace = to.schema;
    form->stxowner = to.owner;
    CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
    if (from.schema != to.schema &&
        changeDependencyFor(StatisticExtRelationId, statistics, NamespaceRelationId, from.schema,
                            to.schema) != 1)
        elog(ERROR, "statistics %u did not depend on their schema", statistics);
    if (from.owner != to.owner)
        changeDependencyOnOwner(StatisticExtRelationId, statistics, to.owner);
    CommandCounterIncrement();
}

ErrorData *zdm_statistics_take_place(uint32_t taker, uint32_t taken, const char *taken_name) {
    GUARD_BEGIN();
    Relation catalog = table_open(StatisticExtRelationId, RowExclusiveLock);
    HeapTuple taken_tuple = locked_copy(taken);
    HeapTuple taker_tuple = locked_copy(taker);
    Place place = place_of(taken_tuple);
    Place aside = place_of(taker_tuple);

    aside.name = taken_name;
    move(catalog, taken_tuple, aside);
    move(catalog, taker_tuple, place);
    table_close(catalog, RowExclusiveLock);
    GUARD_END();
}
