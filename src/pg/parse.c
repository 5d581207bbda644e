/*
 * parse.c - types and mapping expressions through the server's own parser and deparser.
 */
#include "pg/guard.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_node.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "pg/expression.h"
#include "pg/pinned.h"
#include "pg/version.h"

/* What stands behind a column's name: a type as format_type writes it, and maybe COLLATE. */
static void parse_column_type(const char *text, Oid *type, int32 *typmod, Oid *collation) {
    List *parsed = raw_parser(psprintf("ALTER TABLE t ADD COLUMN c %s", text), RAW_PARSE_DEFAULT);
    AlterTableStmt *statement = (AlterTableStmt *)linitial_node(RawStmt, parsed)->stmt;
    ColumnDef *column = (ColumnDef *)linitial_node(AlterTableCmd, statement->cmds)->def;

    typenameTypeIdAndMod(NULL, column->typeName, type, typmod);
    *collation = GetColumnDefCollation(NULL, column, *type);
}

ErrorData *zdm_type_parse(const char *text, bool canonical, ZdmType *type) {
    GUARD_BEGIN();
    Oid oid;
    Oid collation;
    int32 typmod;
    int nest;

    if (pg_strcasecmp(text, "serial") == 0 || pg_strcasecmp(text, "bigserial") == 0 ||
        pg_strcasecmp(text, "smallserial") == 0 || pg_strcasecmp(text, "serial4") == 0 ||
        pg_strcasecmp(text, "serial8") == 0 || pg_strcasecmp(text, "serial2") == 0)
        ereport(
            ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("\"%s\" is not a type but an integer with a sequence; name the integer type",
                    text)));
    nest = canonical ? zdm_pin_settings() : NewGUCNestLevel();
    if (canonical)
        parse_column_type(text, &oid, &typmod, &collation);
    else {
        zdm_parse_type_string(text, &oid, &typmod);
        collation = get_typcollation(oid);
    }
    AtEOXact_GUC(true, nest);
    if (get_typtype(oid) == TYPTYPE_PSEUDO)
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("no column can have pseudo-type %s", format_type_be(oid))));
    type->oid = oid;
    type->typmod = typmod;
    type->collation = collation;
    nest = zdm_pin_settings();
    type->name = format_type_with_typemod(oid, typmod);
    if (collation != get_typcollation(oid))
        type->name = psprintf("%s COLLATE %s", type->name, generate_collation_name(collation));
    AtEOXact_GUC(true, nest);
    GUARD_END();
}

static ZdmMappedColumn *mapped_columns(int count, const ZdmColumn *columns) {
    ZdmMappedColumn *mapped = palloc(sizeof(ZdmMappedColumn) * (count + 1));

    for (int i = 0; i < count; i++)
        mapped[i] = (ZdmMappedColumn){.name = columns[i].name,
                                      .attnum = columns[i].attnum,
                                      .type = columns[i].type,
                                      .typmod = columns[i].typmod,
                                      .collation = columns[i].collation};
    return mapped;
}

/* ACCESS SHARE on the relation, as any query that names its columns takes it. */
ErrorData *zdm_expression_canonical(uint32_t relation, const char *text, int count,
                                    const ZdmColumn *columns, uint32_t type, int32_t typmod,
                                    uint32_t collation, bool explicit_cast,
                                    ZdmExpression *expression) {
    GUARD_BEGIN();
    Relation rel = table_open(relation, AccessShareLock);
    Node *node = zdm_expression_parse(rel, text, count, mapped_columns(count, columns), true, true,
                                      type, typmod, collation, explicit_cast);
    int nest = zdm_pin_settings();

    expression->text = deparse_expression(
        node, deparse_context_for(RelationGetRelationName(rel), relation), false, false);
    AtEOXact_GUC(true, nest);
    expression->total = zdm_expression_is_total(node);
    expression->immutable = !contain_mutable_functions(node);
    table_close(rel, NoLock);
    GUARD_END();
}

/* A generated column's expression is assigned to it, as cookDefault does. */
static Node *parse_generation(Relation relation, int attnum, const char *text, int count,
                              const ZdmMappedColumn *columns) {
    Form_pg_attribute column = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
    Node *node = zdm_expression_parse(relation, text, count, columns, true, true, column->atttypid,
                                      column->atttypmod, column->attcollation, false);

    if (zdm_expression_is_mutable(relation, node))
        ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                        errmsg("generation expression is not immutable")));
    return node;
}

ErrorData *zdm_expression_remap(uint32_t relation, int generated, const char *text, int count,
                                const ZdmColumn *columns, const char **remapped) {
    GUARD_BEGIN();
    Relation rel = table_open(relation, AccessShareLock);
    int nest = zdm_pin_settings();
    ZdmMappedColumn *mapped = mapped_columns(count, columns);
    Node *node = generated != 0 ? parse_generation(rel, generated, text, count, mapped)
                                : zdm_expression_parse(rel, text, count, mapped, true, true,
                                                       InvalidOid, -1, InvalidOid, false);

    *remapped = deparse_expression(
        node, deparse_context_for(RelationGetRelationName(rel), relation), false, false);
    AtEOXact_GUC(true, nest);
    table_close(rel, NoLock);
    GUARD_END();
}

ErrorData *zdm_default_parse(const char *text, const ZdmType *type, const char **canonical,
                             bool *is_volatile) {
    GUARD_BEGIN();
    ParseState *state = make_parsestate(NULL);
    Node *node;
    int nest;

    node = cookDefault(state, zdm_expression_raw(text), type->oid, type->typmod, "the new column",
                       '\0');
    *is_volatile = contain_volatile_functions((Node *)expression_planner((Expr *)node));
    nest = zdm_pin_settings();
    *canonical = deparse_expression(node, NIL, false, false);
    AtEOXact_GUC(true, nest);
    free_parsestate(state);
    GUARD_END();
}

/* Follows tablecmds.c, ATColumnChangeRequiresRewrite. */
static bool expression_rewrites(Node *expression, AttrNumber attnum) {
    for (;;) {
        if (IsA(expression, Var) && ((Var *)expression)->varattno == attnum) return false;
        if (IsA(expression, RelabelType))
            expression = (Node *)((RelabelType *)expression)->arg;
        else if (IsA(expression, CoerceToDomain)) {
            CoerceToDomain *domain = (CoerceToDomain *)expression;

            if (DomainHasConstraints(domain->resulttype)) return true;
            expression = (Node *)domain->arg;
        } else if (IsA(expression, FuncExpr)) {
            FuncExpr *call = (FuncExpr *)expression;

            if ((call->funcid != F_TIMESTAMPTZ_TIMESTAMP &&
                 call->funcid != F_TIMESTAMP_TIMESTAMPTZ) ||
                TimestampTimestampTzRequiresRewrite())
                return true;
            expression = linitial(call->args);
        } else
            return true;
    }
}

/* Follows indexcmds.c, CheckIndexCompatible: a default operator class becomes that of the new type,
 * and one for any array or enum is another for each. */
static bool index_rewrites(Relation index, AttrNumber attnum, Oid before, Oid after) {
    for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++) {
        Oid opclass = get_index_column_opclass(RelationGetRelid(index), i + 1);

        if (index->rd_index->indkey.values[i] != attnum) continue;
        if (IsPolymorphicType(get_opclass_input_type(opclass))) return before != after;
        if (opclass == GetDefaultOpClass(before, index->rd_rel->relam) &&
            opclass != GetDefaultOpClass(after, index->rd_rel->relam))
            return true;
    }
    return false;
}

static bool indexes_rewrite(Relation relation, AttrNumber attnum, Oid before, Oid after) {
    bool rewrites = false;
    ListCell *cell;

    foreach (cell, RelationGetIndexList(relation)) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);

        rewrites = rewrites || index_rewrites(index, attnum, before, after);
        index_close(index, NoLock);
    }
    return rewrites;
}

ErrorData *zdm_type_change_rewrites(uint32_t relation, int attnum, const ZdmType *type,
                                    const char *settings, bool *rewrites) {
    GUARD_BEGIN();
    Relation rel = table_open(relation, AccessShareLock);
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
    int nest = NewGUCNestLevel();
    Node *node = (Node *)makeVar(1, attnum, attribute->atttypid, attribute->atttypmod,
                                 attribute->attcollation, 0);

    zdm_apply_settings(settings);
    node = coerce_to_target_type(NULL, node, exprType(node), type->oid, type->typmod,
                                 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
    if (node == NULL)
        *rewrites = true;
    else
        *rewrites = attribute->attcollation != type->collation ||
                    expression_rewrites((Node *)expression_planner((Expr *)node), attnum) ||
                    indexes_rewrite(rel, attnum, attribute->atttypid, type->oid);
    AtEOXact_GUC(true, nest);
    table_close(rel, NoLock);
    GUARD_END();
}

ErrorData *zdm_has_default_opclass(uint32_t type, uint32_t access_method, bool *has) {
    GUARD_BEGIN();
    *has = OidIsValid(GetDefaultOpClass(type, access_method));
    GUARD_END();
}
