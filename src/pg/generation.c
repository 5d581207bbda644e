/*
 * generation.c - another expression for a generated column. SET EXPRESSION, which the server has
 * since 17, rewrites the table if the column is stored, and a virtual one's constraints have it
 * read (18); where every row is known to have the values already, the catalogs are all there is to
 * change.
 */
#include "pg/guard.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "pg/expression.h"
#include "pg/pinned.h"

/* Follows tablecmds.c, ATExecSetExpression: the expression's internal dependency on its own column
 * would have the column dropped with it. */
ErrorData *zdm_generation_set(uint32_t relation, int attnum, const char *text) {
    GUARD_BEGIN();
    Relation rel = table_open(relation, AccessExclusiveLock);
    Oid before = GetAttrDefaultOid(relation, attnum);
    char kind = TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated;
    RawColumnDefault *expression = palloc0(sizeof(RawColumnDefault));
    int nest = zdm_pin_settings();

    if (!OidIsValid(before) || kind == '\0')
        elog(ERROR, "column %d of \"%s\" is not a generated one", attnum,
             RelationGetRelationName(rel));
    (void)deleteDependencyRecordsFor(AttrDefaultRelationId, before, false);
    CommandCounterIncrement();
    RemoveAttrDefault(relation, attnum, DROP_RESTRICT, false, false);
    expression->attnum = attnum;
    expression->raw_default = zdm_expression_raw(text);
    expression->generated = kind;
    (void)AddRelationNewConstraints(rel, list_make1(expression), NIL, false, true, false, NULL);
    CommandCounterIncrement();
    AtEOXact_GUC(true, nest);
    table_close(rel, NoLock);
    GUARD_END();
}
