/*
 * acl.c - privileges as they stand in the catalogs. GRANT cannot say who granted, and what ALTER
 * DEFAULT PRIVILEGES gives a new relation would have to be taken away first.
 */
#include "pg/guard.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static Oid owner_of(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    Oid owner;

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for relation %u", relation);
    owner = ((Form_pg_class)GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

static HeapTuple tuple_of(Oid relation, int attnum) {
    HeapTuple tuple =
        attnum != 0 ? SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attnum))
                    : SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relation));

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for relation %u", relation);
    return tuple;
}

/* NULL: the default. */
static Acl *acl_of(HeapTuple tuple, int attnum) {
    bool is_null;
    Datum acl =
        SysCacheGetAttr(attnum != 0 ? ATTNUM : RELOID, tuple,
                        attnum != 0 ? Anum_pg_attribute_attacl : Anum_pg_class_relacl, &is_null);

    return is_null ? NULL : DatumGetAclPCopy(acl);
}

/* As ExecGrant_Relation and ExecGrant_Attribute (aclchk.c) write it. */
static void set_acl(Oid relation, int attnum, Acl *acl) {
    bool is_column = attnum != 0;
    int number = is_column ? Anum_pg_attribute_attacl : Anum_pg_class_relacl;
    Relation catalog =
        table_open(is_column ? AttributeRelationId : RelationRelationId, RowExclusiveLock);
    HeapTuple tuple = tuple_of(relation, attnum);
    Acl *before = acl_of(tuple, attnum);
    Oid *old_members = NULL, *new_members = NULL;
    int old_count = before != NULL ? aclmembers(before, &old_members) : 0;
    int new_count = acl != NULL ? aclmembers(acl, &new_members) : 0;
    Datum *values = palloc0(sizeof(Datum) * RelationGetDescr(catalog)->natts);
    bool *nulls = palloc0(sizeof(bool) * RelationGetDescr(catalog)->natts);
    bool *replaces = palloc0(sizeof(bool) * RelationGetDescr(catalog)->natts);
    HeapTuple updated;

    replaces[number - 1] = true;
    nulls[number - 1] = acl == NULL;
    values[number - 1] = PointerGetDatum(acl);
    updated = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
    CatalogTupleUpdate(catalog, &updated->t_self, updated);
    updateAclDependencies(RelationRelationId, relation, attnum, owner_of(relation), old_count,
                          old_members, new_count, new_members);
    table_close(catalog, RowExclusiveLock);
    CommandCounterIncrement();
}

/* Nobody gets what they did not have: the text is what the view had before. */
ErrorData *zdm_relation_set_acl(uint32_t relation, int attnum, const char *acl) {
    GUARD_BEGIN();
    set_acl(relation, attnum,
            acl == NULL
                ? NULL
                : DatumGetAclP(OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(acl),
                                                ObjectIdGetDatum(ACLITEMOID), Int32GetDatum(-1))));
    GUARD_END();
}

ErrorData *zdm_column_share_acl(uint32_t relation, int from, int to, bool keep) {
    GUARD_BEGIN();
    Acl *given = acl_of(tuple_of(relation, from), from);
    Acl *before = acl_of(tuple_of(relation, to), to);

    if (keep && before != NULL)
        given = given == NULL ? before : aclmerge(before, given, owner_of(relation));
    if (given != NULL || before != NULL) set_acl(relation, to, given);
    GUARD_END();
}
