/*
 * view.c - what a view would be over columns of other types, and how one is created anew.
 */
#include "pg/guard.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "pg/pinned.h"
#include "pg/version.h"

typedef struct Changed {
    int count;
    const ZdmViewColumn *columns;
    QueryEnvironment *environment;
} Changed;

static char *stand_in_name(Oid relation) { return psprintf("zdm_shape_%u", relation); }

/* The relation as it would be, under a name of its own: a query's FROM finds it before any table.
 */
static void add_stand_in(Changed *changed, Oid relation) {
    EphemeralNamedRelation stand_in = palloc0(sizeof(EphemeralNamedRelationData));
    Relation rel;

    stand_in->md.name = stand_in_name(relation);
    if (get_ENR(changed->environment, stand_in->md.name) != NULL) return;
    rel = relation_open(relation, AccessShareLock);
    stand_in->md.tupdesc = CreateTupleDescCopy(RelationGetDescr(rel));
    stand_in->md.enrtype = ENR_NAMED_TUPLESTORE;
    relation_close(rel, NoLock);
    for (int i = 0; i < changed->count; i++) {
        const ZdmViewColumn *column = &changed->columns[i];
        Form_pg_attribute attribute;
        char *name;

        if (column->relation != relation) continue;
        attribute = TupleDescAttr(stand_in->md.tupdesc, column->attnum - 1);
        name = pstrdup(NameStr(attribute->attname));
        TupleDescInitEntry(stand_in->md.tupdesc, column->attnum, name, column->type, column->typmod,
                           0);
        TupleDescInitEntryCollation(stand_in->md.tupdesc, column->attnum, column->collation);
    }
    register_ENR(changed->environment, stand_in);
}

static bool use_stand_ins(Node *node, Changed *changed) {
    if (node == NULL) return false;
    if (IsA(node, RangeVar)) {
        RangeVar *variable = (RangeVar *)node;
        Oid relation;

        if (variable->schemaname == NULL) return false;
        relation = RangeVarGetRelid(variable, NoLock, true);
        for (int i = 0; i < changed->count; i++) {
            if (changed->columns[i].relation != relation) continue;
            if (variable->alias == NULL) variable->alias = makeAlias(variable->relname, NIL);
            variable->schemaname = NULL;
            variable->relname = stand_in_name(relation);
            break;
        }
        return false;
    }
    return raw_expression_tree_walker(node, use_stand_ins, changed);
}

ErrorData *zdm_view_shape(const char *text, int count, const ZdmViewColumn *columns, int *width,
                          const ZdmViewColumn **shape) {
    GUARD_BEGIN();
    Changed changed = {count, columns, create_queryEnv()};
    int nest = zdm_pin_settings();
    ParseState *state = make_parsestate(NULL);
    RawStmt *statement;
    Query *analyzed;
    ZdmViewColumn *result;
    ListCell *cell;

    statement = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
    for (int i = 0; i < count; i++) add_stand_in(&changed, columns[i].relation);
    (void)use_stand_ins(statement->stmt, &changed);
    state->p_sourcetext = text;
    state->p_queryEnv = changed.environment;
    analyzed = transformTopLevelStmt(state, statement);

    result = palloc0(sizeof(ZdmViewColumn) * (list_length(analyzed->targetList) + 1));
    *width = 0;
    foreach (cell, analyzed->targetList) {
        TargetEntry *entry = lfirst_node(TargetEntry, cell);
        ZdmViewColumn *column = &result[*width];

        if (entry->resjunk) continue;
        column->attnum = ++*width;
        column->type = exprType((Node *)entry->expr);
        column->typmod = exprTypmod((Node *)entry->expr);
        column->collation = exprCollation((Node *)entry->expr);
    }
    free_parsestate(state);
    AtEOXact_GUC(true, nest);
    *shape = result;
    GUARD_END();
}

/* Behind the column's number, without dropped ones: where its alias stands in FROM t AS x(a, b). */
static int alias_position(Oid relation, int attnum) {
    Relation rel = relation_open(relation, AccessShareLock);
    int position = 0;

    for (int i = 0; i < attnum - 1; i++)
        if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped) position++;
    relation_close(rel, NoLock);
    return position;
}

typedef struct Exchanged {
    int count;
    const ZdmColumnPair *pairs;
} Exchanged;

static bool exchange_aliases(Node *node, Exchanged *exchanged) {
    if (node == NULL) return false;
    if (IsA(node, RangeVar)) {
        RangeVar *variable = (RangeVar *)node;
        List *names = variable->alias ? variable->alias->colnames : NIL;
        Oid relation;

        if (variable->schemaname == NULL || names == NIL) return false;
        relation = RangeVarGetRelid(variable, NoLock, true);
        for (int i = 0; i < exchanged->count; i++) {
            const ZdmColumnPair *pair = &exchanged->pairs[i];
            ListCell *from, *to;
            void *name;

            if (pair->relation != relation) continue;
            from = list_nth_cell(names, alias_position(relation, pair->from));
            to = list_nth_cell(names, alias_position(relation, pair->to));
            name = lfirst(from);
            lfirst(from) = lfirst(to);
            lfirst(to) = name;
        }
        return false;
    }
    return raw_expression_tree_walker(node, exchange_aliases, exchanged);
}

/*
 * Where a query names all columns of a table by their position, the names say nothing of which
 * column is meant. pg_get_viewdef writes it so wherever a name of its own would not do: after
 * JOIN ... USING a column that was renamed, for one.
 */
ErrorData *zdm_run_exchanged(const char *text, int count, const ZdmColumnPair *pairs) {
    GUARD_BEGIN();
    Exchanged exchanged = {count, pairs};
    int nest = zdm_pin_settings();
    PlannedStmt *planned = makeNode(PlannedStmt);
    ParseState *state = make_parsestate(NULL);
    RawStmt *raw;
    Node *statement;

    raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
    statement = raw->stmt;
    if (IsA(statement, ViewStmt))
        (void)exchange_aliases(((ViewStmt *)statement)->query, &exchanged);
    else if (IsA(statement, CreateTableAsStmt))
        (void)exchange_aliases(((CreateTableAsStmt *)statement)->query, &exchanged);
    else {
        RuleStmt *rule = castNode(RuleStmt, statement);

        (void)exchange_aliases(rule->whereClause, &exchanged);
        (void)exchange_aliases((Node *)rule->actions, &exchanged);
    }
    PushActiveSnapshot(GetTransactionSnapshot());
    state->p_sourcetext = text;
    planned->commandType = CMD_UTILITY;
    planned->utilityStmt = transformTopLevelStmt(state, raw)->utilityStmt;
    planned->stmt_location = -1;
    free_parsestate(state);
    ProcessUtility(planned, text, false, PROCESS_UTILITY_QUERY, NULL, NULL, None_Receiver, NULL);
    PopActiveSnapshot();
    CommandCounterIncrement();
    AtEOXact_GUC(true, nest);
    GUARD_END();
}

ErrorData *zdm_role_may_act_as(uint32_t member, uint32_t role, bool *may) {
    GUARD_BEGIN();
    *may = has_privs_of_role(member, role) && zdm_can_set_role(member, role);
    GUARD_END();
}
