/*
 * exclusion.c - a plain index that becomes an exclusion constraint, which no SQL statement does:
 * ADD CONSTRAINT ... USING INDEX takes unique ones only.
 */
#include "pg/guard.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_operator.h"
#include "commands/defrem.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_oper.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* The operator of the same name for another type, found as EXCLUDE ... WITH finds it. */
static Oid operator_for(Oid given, Oid type, bool missing_ok) {
    HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(given));
    Form_pg_operator form;
    List *name;

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "there is no operator %u", given);
    form = (Form_pg_operator)GETSTRUCT(tuple);
    name = list_make2(makeString(get_namespace_name(form->oprnamespace)),
                      makeString(pstrdup(NameStr(form->oprname))));
    ReleaseSysCache(tuple);
    return compatible_oper_opid(name, type, type, missing_ok);
}

/* What the index's k-th key holds; not its attribute's type, which is the one that is stored. */
static Oid key_type(Relation relation, const IndexInfo *info, int k, ListCell **expression) {
    AttrNumber attnum = info->ii_IndexAttrNumbers[k];
    Oid type;

    if (attnum != 0) return TupleDescAttr(RelationGetDescr(relation), attnum - 1)->atttypid;
    type = exprType(lfirst(*expression));
    *expression = lnext(info->ii_Expressions, *expression);
    return type;
}

/* The checks are those of ComputeIndexAttrs. */
static void set_operators(Relation relation, Relation index, IndexInfo *info,
                          const uint32_t *operators) {
    ListCell *expression = list_head(info->ii_Expressions);
    int count = info->ii_NumIndexKeyAttrs;

    info->ii_ExclusionOps = palloc(sizeof(Oid) * count);
    info->ii_ExclusionProcs = palloc(sizeof(Oid) * count);
    info->ii_ExclusionStrats = palloc(sizeof(uint16) * count);
    for (int k = 0; k < count; k++) {
        Oid chosen = operator_for(operators[k], key_type(relation, info, k, &expression), false);
        int strategy = get_op_opfamily_strategy(chosen, index->rd_opfamily[k]);

        if (get_commutator(chosen) != chosen || strategy == 0)
            ereport(ERROR,
                    (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                     errmsg("operator %s cannot be used in an exclusion constraint on \"%s\"",
                            format_operator(chosen), RelationGetRelationName(index))));
        info->ii_ExclusionOps[k] = chosen;
        info->ii_ExclusionProcs[k] = get_opcode(chosen);
        info->ii_ExclusionStrats[k] = strategy;
    }
}

ErrorData *zdm_exclusion_operator_fits(uint32_t given, uint32_t type, uint32_t access_method,
                                       bool *fits) {
    GUARD_BEGIN();
    Oid opclass = GetDefaultOpClass(type, access_method);
    Oid chosen = operator_for(given, type, true);

    *fits = OidIsValid(opclass) && OidIsValid(chosen) && get_commutator(chosen) == chosen &&
            get_op_opfamily_strategy(chosen, get_opclass_family(opclass)) != 0;
    GUARD_END();
}

static void mark_exclusion(Oid index) {
    HeapTuple tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index));
    Relation pg_index;

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "there is no index %u", index);
    ((Form_pg_index)GETSTRUCT(tuple))->indisexclusion = true;
    pg_index = table_open(IndexRelationId, RowExclusiveLock);
    CatalogTupleUpdate(pg_index, &tuple->t_self, tuple);
    table_close(pg_index, RowExclusiveLock);
    CommandCounterIncrement();
}

/* The constraint takes over what the index depends on, but not for its expressions and predicate
 * (index_create): those stay the index's own. */
static void depend_on_expressions(Relation relation, Oid index_id, const IndexInfo *info) {
    ObjectAddress index;

    ObjectAddressSet(index, RelationRelationId, index_id);
    if (info->ii_Expressions)
        recordDependencyOnSingleRelExpr(&index, (Node *)info->ii_Expressions,
                                        RelationGetRelid(relation), DEPENDENCY_NORMAL,
                                        DEPENDENCY_AUTO, false);
    if (info->ii_Predicate)
        recordDependencyOnSingleRelExpr(&index, (Node *)info->ii_Predicate,
                                        RelationGetRelid(relation), DEPENDENCY_NORMAL,
                                        DEPENDENCY_AUTO, false);
}

ErrorData *zdm_index_exclude(uint32_t index_id, int count, const uint32_t *operators,
                             bool deferrable, bool deferred) {
    GUARD_BEGIN();
    Relation index = index_open(index_id, AccessExclusiveLock);
    Relation relation = table_open(index->rd_index->indrelid, NoLock);
    IndexInfo *info = BuildIndexInfo(index);
    bits16 flags = INDEX_CONSTR_CREATE_REMOVE_OLD_DEPS;

    if (count != info->ii_NumIndexKeyAttrs)
        elog(ERROR, "index \"%s\" has %d keys, not %d", RelationGetRelationName(index),
             info->ii_NumIndexKeyAttrs, count);
    if (deferrable) flags |= INDEX_CONSTR_CREATE_DEFERRABLE | INDEX_CONSTR_CREATE_UPDATE_INDEX;
    if (deferred) flags |= INDEX_CONSTR_CREATE_INIT_DEFERRED;
    set_operators(relation, index, info, operators);
    mark_exclusion(index_id);
    (void)index_constraint_create(relation, index_id, InvalidOid, info,
                                  RelationGetRelationName(index), CONSTRAINT_EXCLUSION, flags,
                                  false, false);
    depend_on_expressions(relation, index_id, info);
    CacheInvalidateRelcache(relation);
    table_close(relation, NoLock);
    index_close(index, NoLock);
    CommandCounterIncrement();
    GUARD_END();
}
