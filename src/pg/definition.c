/*
 * definition.c - CREATE INDEX statements and table constraints through the server's own parser,
 * back as text that means the same in another session: names resolved and constants read under the
 * caller's settings, everything written for the pinned ones.
 *
 * What the server would refuse when it runs the statement is refused here where that is cheap to
 * find out, because the statement runs later, when nobody is there to read the error.
 */
#include "pg/guard.h"

#include "access/amapi.h"
#include "access/reloptions.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_opclass.h"
#include "mb/pg_wchar.h"
#include "commands/defrem.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_utilcmd.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "pg/expression.h"
#include "pg/pinned.h"
#include "pg/version.h"

static Node *parse_one_statement(const char *text) {
    List *statements = raw_parser(text, RAW_PARSE_DEFAULT);

    if (list_length(statements) != 1) return NULL;
    return linitial_node(RawStmt, statements)->stmt;
}

static IndexStmt *parse_create_index(const char *text) {
    Node *statement = parse_one_statement(text);

    if (statement == NULL || !IsA(statement, IndexStmt))
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                        errmsg("\"%s\" is not one CREATE INDEX statement", text)));
    return (IndexStmt *)statement;
}

ErrorData *zdm_index_relation(const char *text, uint32_t *relation) {
    GUARD_BEGIN();
    *relation = RangeVarGetRelid(parse_create_index(text)->relation, NoLock, false);
    GUARD_END();
}

/*
 * Names
 */

/* As indexcmds.c, ChooseIndexColumnNames. */
static List *index_column_names(List *elements) {
    List *names = NIL;
    ListCell *cell;

    foreach (cell, elements) {
        IndexElem *element = lfirst(cell);
        const char *wanted = element->indexcolname ? element->indexcolname
                             : element->name       ? element->name
                                                   : "expr";
        char *name = pstrdup(wanted);

        for (int i = 1;; i++) {
            bool taken = false;
            ListCell *other;
            char number[32];
            int kept;

            foreach (other, names)
                if (strcmp(name, lfirst(other)) == 0) taken = true;
            if (!taken) break;
            snprintf(number, sizeof(number), "%d", i);
            kept = pg_mbcliplen(wanted, strlen(wanted), NAMEDATALEN - 1 - strlen(number));
            name = psprintf("%.*s%s", kept, wanted, number);
        }
        names = lappend(names, name);
    }
    return names;
}

/* As indexcmds.c, ChooseIndexNameAddition. */
static char *name_addition(List *names) {
    StringInfoData text;
    ListCell *cell;

    initStringInfo(&text);
    foreach (cell, names) {
        if (text.len > 0) appendStringInfoChar(&text, '_');
        appendStringInfoString(&text, lfirst(cell));
        if (text.len >= NAMEDATALEN) break;
    }
    return text.data;
}

ErrorData *zdm_index_choose_name(uint32_t index, const char **name) {
    GUARD_BEGIN();
    Relation rel = index_open(index, AccessShareLock);
    TupleDesc descriptor = RelationGetDescr(rel);
    List *names = NIL;

    bool primary = rel->rd_index->indisprimary;
    bool constraint = OidIsValid(get_index_constraint(index));

    for (int i = 0; i < descriptor->natts; i++)
        names = lappend(names, pstrdup(NameStr(TupleDescAttr(descriptor, i)->attname)));
    *name = ChooseRelationName(get_rel_name(rel->rd_index->indrelid),
                               primary ? NULL : name_addition(names),
                               primary      ? "pkey"
                               : constraint ? "key"
                                            : "idx",
                               RelationGetNamespace(rel), constraint);
    index_close(rel, NoLock);
    GUARD_END();
}

/*
 * Pieces of a definition
 */

static char *deparse(Relation rel, Node *expression) {
    return deparse_expression(
        expression, deparse_context_for(RelationGetRelationName(rel), RelationGetRelid(rel)), false,
        false);
}

static void check_immutable(Relation rel, Node *expression, const char *what) {
    if (zdm_expression_is_mutable(rel, expression))
        ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                        errmsg("functions in index %s must be marked IMMUTABLE", what)));
}

static void append_options(StringInfo text, List *options) {
    ListCell *cell;

    appendStringInfoChar(text, '(');
    foreach (cell, options) {
        DefElem *option = lfirst(cell);

        appendStringInfo(text, "%s%s=%s", cell == list_head(options) ? "" : ", ",
                         quote_identifier(option->defname),
                         quote_literal_cstr(option->arg ? defGetString(option) : "true"));
    }
    appendStringInfoChar(text, ')');
}

static char *qualified_opclass(Oid opclass) {
    HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
    Form_pg_opclass form;
    char *name;

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for opclass %u", opclass);
    form = (Form_pg_opclass)GETSTRUCT(tuple);
    name =
        quote_qualified_identifier(get_namespace_name(form->opcnamespace), NameStr(form->opcname));
    ReleaseSysCache(tuple);
    return name;
}

static char *qualified_collation(Oid collation) {
    HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
    Form_pg_collation form;
    char *name;

    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for collation %u", collation);
    form = (Form_pg_collation)GETSTRUCT(tuple);
    name = quote_qualified_identifier(get_namespace_name(form->collnamespace),
                                      NameStr(form->collname));
    ReleaseSysCache(tuple);
    return name;
}

typedef struct KeyType {
    Oid type;
    Oid collation;
} KeyType;

static KeyType column_type(Relation rel, const char *name) {
    AttrNumber attnum = get_attnum(RelationGetRelid(rel), name);

    if (attnum == InvalidAttrNumber)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" does not exist", name)));
    if (attnum < 0)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("index creation on system columns is not supported")));
    return (KeyType){TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid,
                     TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attcollation};
}

/* The value of a key: a column's name or an expression in parentheses. */
static char *key_value(Relation rel, IndexElem *element, KeyType *type) {
    if (element->name != NULL) {
        *type = column_type(rel, element->name);
        return pstrdup(quote_identifier(element->name));
    }
    check_immutable(rel, element->expr, "expression");
    *type = (KeyType){exprType(element->expr), exprCollation(element->expr)};
    return psprintf("(%s)", deparse(rel, element->expr));
}

/*
 * A key as CREATE INDEX writes it. names_resolved: collation and operator class are found under the
 * caller's path, before the pinned one is set, so they come as OIDs.
 */
static void append_key(StringInfo text, IndexElem *element, const char *value, KeyType type,
                       Oid opclass, Oid collation, Oid method, bool can_order) {
    appendStringInfoString(text, value);
    if (OidIsValid(collation) && collation != type.collation)
        appendStringInfo(text, " COLLATE %s", qualified_collation(collation));
    if (opclass != GetDefaultOpClass(type.type, method) || element->opclassopts != NIL)
        appendStringInfo(text, " %s", qualified_opclass(opclass));
    if (element->opclassopts != NIL) {
        appendStringInfoChar(text, ' ');
        append_options(text, element->opclassopts);
    }
    if (!can_order) return;
    if (element->ordering == SORTBY_DESC) {
        appendStringInfoString(text, " DESC");
        if (element->nulls_ordering == SORTBY_NULLS_LAST)
            appendStringInfoString(text, " NULLS LAST");
    } else if (element->nulls_ordering == SORTBY_NULLS_FIRST)
        appendStringInfoString(text, " NULLS FIRST");
}

static void check_method(IndexStmt *stmt, IndexAmRoutine *routine) {
    const char *cannot = NULL;

    if (stmt->unique && !routine->amcanunique)
        cannot = "unique indexes";
    else if (stmt->indexIncludingParams != NIL && !routine->amcaninclude)
        cannot = "included columns";
    else if (list_length(stmt->indexParams) > 1 && !routine->amcanmulticol)
        cannot = "multicolumn indexes";
    if (cannot != NULL)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("access method \"%s\" does not support %s", stmt->accessMethod, cannot)));
    (void)index_reloptions(routine->amoptions,
                           transformRelOptions((Datum)0, stmt->options, NULL, NULL, false, false),
                           true);
}

/* What the session would use for it, because the worker's session is another one. The rights of the
 * caller are checked; those of the table's owner are up to our caller. */
static const char *chosen_tablespace(const char *given, Relation rel) {
    bool partitioned = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
    Oid tablespace = given ? get_tablespace_oid(given, false)
                           : GetDefaultTablespace(rel->rd_rel->relpersistence, partitioned);

    if (!OidIsValid(tablespace) || tablespace == MyDatabaseTableSpace) return NULL;
    if (!zdm_may_create_in_tablespace(tablespace, GetUserId()))
        aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLESPACE, get_tablespace_name(tablespace));
    return get_tablespace_name(tablespace);
}

static const char *const *text_array(List *texts, int *count) {
    const char **array = palloc(sizeof(char *) * (list_length(texts) + 1));
    ListCell *cell;

    *count = 0;
    foreach (cell, texts) array[(*count)++] = lfirst(cell);
    return array;
}

/*
 * CREATE INDEX
 */

static void describe_index(Relation rel, IndexStmt *stmt, ZdmIndexDefinition *definition) {
    Oid method = get_index_am_oid(stmt->accessMethod, false);
    IndexAmRoutine *routine = GetIndexAmRoutineByAmId(method, false);
    List *elements = list_concat_copy(stmt->indexParams, stmt->indexIncludingParams);
    List *values = NIL;
    char *addition = name_addition(index_column_names(elements));
    int count = list_length(stmt->indexParams), i = 0, nest;
    KeyType *types = palloc0(sizeof(KeyType) * (count + 1));
    Oid *opclasses = palloc0(sizeof(Oid) * (count + 1));
    Oid *collations = palloc0(sizeof(Oid) * (count + 1));
    StringInfoData text;
    ListCell *cell;

    check_method(stmt, routine);
    definition->tablespace = chosen_tablespace(stmt->tableSpace, rel);
    foreach (cell, stmt->indexParams) {
        IndexElem *element = lfirst(cell);

        (void)key_value(rel, element, &types[i]);
        if (element->collation) collations[i] = get_collation_oid(element->collation, false);
        opclasses[i] = ResolveOpClass(element->opclass, types[i].type, stmt->accessMethod, method);
        i++;
    }

    nest = zdm_pin_settings();
    initStringInfo(&text);
    appendStringInfo(&text, "USING %s (", quote_identifier(stmt->accessMethod));
    i = 0;
    foreach (cell, stmt->indexParams) {
        char *value = key_value(rel, lfirst(cell), &types[i]);

        values = lappend(values, value);
        if (i > 0) appendStringInfoString(&text, ", ");
        append_key(&text, lfirst(cell), value, types[i], opclasses[i], collations[i], method,
                   routine->amcanorder);
        i++;
    }
    appendStringInfoChar(&text, ')');
    foreach (cell, stmt->indexIncludingParams) {
        IndexElem *element = lfirst(cell);

        if (element->name == NULL)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("expressions are not supported in included columns")));
        (void)column_type(rel, element->name);
        appendStringInfo(&text, "%s%s",
                         cell == list_head(stmt->indexIncludingParams) ? " INCLUDE (" : ", ",
                         quote_identifier(element->name));
    }
    if (stmt->indexIncludingParams != NIL) appendStringInfoChar(&text, ')');
    if (stmt->nulls_not_distinct) appendStringInfoString(&text, " NULLS NOT DISTINCT");
    if (stmt->options != NIL) {
        appendStringInfoString(&text, " WITH ");
        append_options(&text, stmt->options);
    }
    definition->predicate = NULL;
    if (stmt->whereClause != NULL) {
        check_immutable(rel, stmt->whereClause, "predicate");
        definition->predicate = deparse(rel, stmt->whereClause);
    }
    AtEOXact_GUC(true, nest);

    definition->body = text.data;
    definition->keys = text_array(values, &definition->key_count);
    definition->unique = stmt->unique;
    definition->nulls_not_distinct = stmt->nulls_not_distinct;
    definition->only = !stmt->relation->inh && rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
    definition->if_not_exists = stmt->if_not_exists;
    definition->name = stmt->idxname;
    definition->first_name = stmt->idxname
                                 ? stmt->idxname
                                 : makeObjectName(RelationGetRelationName(rel), addition, "idx");
    definition->free_name = stmt->idxname
                                ? stmt->idxname
                                : ChooseRelationName(RelationGetRelationName(rel), addition, "idx",
                                                     RelationGetNamespace(rel), false);
}

ErrorData *zdm_index_parse(const char *text, uint32_t relation, ZdmIndexDefinition *definition) {
    GUARD_BEGIN();
    Relation rel = relation_open(relation, AccessShareLock);

    describe_index(rel, transformIndexStmt(relation, parse_create_index(text), text), definition);
    relation_close(rel, NoLock);
    GUARD_END();
}

/*
 * Constraints
 */

static List *string_values(List *strings) {
    List *values = NIL;
    ListCell *cell;

    foreach (cell, strings) values = lappend(values, strVal(lfirst(cell)));
    return values;
}

static char *column_list(List *names) {
    StringInfoData text;
    ListCell *cell;

    initStringInfo(&text);
    foreach (cell, names)
        appendStringInfo(&text, "%s%s", cell == list_head(names) ? "" : ", ",
                         quote_identifier(lfirst(cell)));
    return text.data;
}

static const char *action(char code, List *columns) {
    const char *set = columns == NIL ? "" : psprintf(" (%s)", column_list(string_values(columns)));

    switch (code) {
        case FKCONSTR_ACTION_RESTRICT:
            return "RESTRICT";
        case FKCONSTR_ACTION_CASCADE:
            return "CASCADE";
        case FKCONSTR_ACTION_SETNULL:
            return psprintf("SET NULL%s", set);
        case FKCONSTR_ACTION_SETDEFAULT:
            return psprintf("SET DEFAULT%s", set);
        default:
            return NULL;
    }
}

static void describe_check(Relation rel, Constraint *constraint, ZdmConstraint *result) {
    ParseState *pstate = make_parsestate(NULL);
    Node *condition;
    int nest;

    addNSItemToQuery(pstate,
                     addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true),
                     true, true, true);
    condition = transformExpr(pstate, constraint->raw_expr, EXPR_KIND_CHECK_CONSTRAINT);
    condition = coerce_to_boolean(pstate, condition, "CHECK");
    assign_expr_collations(pstate, condition);
    if (list_length(pstate->p_rtable) != 1)
        ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
                        errmsg("only table \"%s\" can be referenced in check constraint",
                               RelationGetRelationName(rel))));
    nest = zdm_pin_settings();
    result->condition = deparse(rel, condition);
    AtEOXact_GUC(true, nest);
    result->text =
        psprintf("CHECK (%s)%s", result->condition, constraint->is_no_inherit ? " NO INHERIT" : "");
}

static void describe_foreign_key(Constraint *constraint, ZdmConstraint *result) {
    const char *on_update = action(constraint->fk_upd_action, NIL);
    const char *on_delete = action(constraint->fk_del_action, constraint->fk_del_set_cols);

    result->referenced = RangeVarGetRelid(constraint->pktable, NoLock, false);
    result->columns = text_array(string_values(constraint->fk_attrs), &result->column_count);
    result->referenced_columns =
        text_array(string_values(constraint->pk_attrs), &result->referenced_count);
    result->text = psprintf("%s%s%s%s%s",
                            constraint->fk_matchtype == FKCONSTR_MATCH_FULL      ? " MATCH FULL"
                            : constraint->fk_matchtype == FKCONSTR_MATCH_PARTIAL ? " MATCH PARTIAL"
                                                                                 : "",
                            on_update ? " ON UPDATE " : "", on_update ? on_update : "",
                            on_delete ? " ON DELETE " : "", on_delete ? on_delete : "");
}

/* As an index; a unique constraint is no more than that, and its name. */
static void describe_key(Relation rel, Constraint *constraint, ZdmConstraint *result) {
    StringInfoData text;
    List *keys = string_values(constraint->keys);
    List *included = string_values(constraint->including);
    ListCell *cell;

    foreach (cell, list_concat_copy(keys, included)) (void)column_type(rel, lfirst(cell));
    initStringInfo(&text);
    appendStringInfo(&text, "USING btree (%s)", column_list(keys));
    if (included != NIL) appendStringInfo(&text, " INCLUDE (%s)", column_list(included));
    if (constraint->nulls_not_distinct) appendStringInfoString(&text, " NULLS NOT DISTINCT");
    result->options = "";
    if (constraint->options != NIL) {
        int plain = text.len;

        appendStringInfoString(&text, " WITH ");
        append_options(&text, constraint->options);
        result->options = pstrdup(text.data + plain);
    }
    result->index_body = text.data;
    result->columns = text_array(keys, &result->column_count);
    result->index = constraint->indexname;
    result->tablespace =
        constraint->indexname ? NULL : chosen_tablespace(constraint->indexspace, rel);
    result->text = psprintf(
        "%s%s%s", constraint->contype == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE",
        constraint->nulls_not_distinct ? " NULLS NOT DISTINCT" : "",
        constraint->indexname
            ? psprintf(" USING INDEX %s", quote_identifier(constraint->indexname))
            : psprintf(" (%s)%s", column_list(keys),
                       included == NIL ? "" : psprintf(" INCLUDE (%s)", column_list(included))));
}

ErrorData *zdm_constraint_parse(uint32_t relation, const char *name, const char *text,
                                ZdmConstraint *result) {
    GUARD_BEGIN();
    Relation rel = relation_open(relation, AccessShareLock);
    Node *statement = parse_one_statement(
        psprintf("ALTER TABLE t ADD CONSTRAINT %s %s", quote_identifier(name), text));
    AlterTableStmt *alter = (AlterTableStmt *)statement;
    Constraint *constraint = NULL;

    if (statement != NULL && IsA(statement, AlterTableStmt) && list_length(alter->cmds) == 1)
        constraint = (Constraint *)linitial_node(AlterTableCmd, alter->cmds)->def;
    if (constraint == NULL || !IsA(constraint, Constraint))
        ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                        errmsg("\"%s\" is not one table constraint", text)));
    memset(result, 0, sizeof(*result));
    result->not_valid = constraint->skip_validation;
    result->no_inherit = constraint->is_no_inherit;
    result->enforced = zdm_constraint_is_enforced(constraint);
    result->timing = constraint->initdeferred ? " DEFERRABLE INITIALLY DEFERRED"
                     : constraint->deferrable ? " DEFERRABLE"
                                              : "";
    switch (constraint->contype) {
        case CONSTR_CHECK:
            result->type = CONSTRAINT_CHECK;
            describe_check(rel, constraint, result);
            break;
        case CONSTR_FOREIGN:
            result->type = CONSTRAINT_FOREIGN;
            describe_foreign_key(constraint, result);
            break;
        case CONSTR_UNIQUE:
        case CONSTR_PRIMARY:
            result->type =
                constraint->contype == CONSTR_UNIQUE ? CONSTRAINT_UNIQUE : CONSTRAINT_PRIMARY;
            describe_key(rel, constraint, result);
            break;
        case CONSTR_EXCLUSION:
            result->type = CONSTRAINT_EXCLUSION;
            break;
        default:
            result->type = 'n';
    }
    if (zdm_constraint_is_temporal(constraint)) result->type = CONSTRAINT_EXCLUSION;
    relation_close(rel, NoLock);
    GUARD_END();
}

bool zdm_has_not_valid_partitioned_foreign_key(void) {
    return ZDM_NOT_VALID_PARTITIONED_FOREIGN_KEY;
}
