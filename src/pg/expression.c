/*
 * expression.c - mapping expressions as the server's own parser sees them.
 *
 * Mapped columns are resolved by a hook before the table's own columns: at start the new ones do
 * not exist yet, and in canonical text they are parameters.
 */
#include "pg/expression.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "pg/guard.h"
#include "pg/pinned.h"

typedef struct Resolution {
    const char *relation_name;
    int count;
    const ZdmMappedColumn *columns;
    bool as_parameters;
} Resolution;

static Node *mapped_node(const Resolution *resolution, int k) {
    const ZdmMappedColumn *column = &resolution->columns[k];
    Param *param;

    if (!resolution->as_parameters)
        return (Node *)makeVar(1, column->attnum, column->type, column->typmod, column->collation,
                               0);
    param = makeNode(Param);
    param->paramkind = PARAM_EXTERN;
    param->paramid = k + 1;
    param->paramtype = column->type;
    param->paramtypmod = column->typmod;
    param->paramcollid = column->collation;
    param->location = -1;
    return (Node *)param;
}

/* c or table.c, where c is a mapped column's name. */
static Node *column_hook(ParseState *pstate, ColumnRef *reference) {
    const Resolution *resolution = pstate->p_ref_hook_state;
    Node *last = llast(reference->fields);
    int length = list_length(reference->fields);

    if (!IsA(last, String) || length > 2) return NULL;
    if (length == 2 && strcmp(strVal(linitial(reference->fields)), resolution->relation_name) != 0)
        return NULL;
    for (int k = 0; k < resolution->count; k++)
        if (strcmp(resolution->columns[k].name, strVal(last)) == 0)
            return mapped_node(resolution, k);
    return NULL;
}

static Node *parameter_hook(ParseState *pstate, ParamRef *reference) {
    const Resolution *resolution = pstate->p_ref_hook_state;

    if (reference->number < 1 || reference->number > resolution->count) return NULL;
    return mapped_node(resolution, reference->number - 1);
}

/* The text is no part of the statement that the client sent, so no position in that is named. */
static void name_expression(void *text) {
    (void)geterrposition();
    errposition(0);
    errcontext("SQL expression \"%s\"", (const char *)text);
}

/* Exactly one value and nothing else: no alias, FROM, WHERE, ORDER BY ... */
Node *zdm_expression_raw(const char *text) {
    List *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
    SelectStmt *select = (SelectStmt *)linitial_node(RawStmt, statements)->stmt;
    ResTarget *target;

    if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1 ||
        select->distinctClause || select->fromClause || select->whereClause ||
        select->groupClause || select->havingClause || select->windowClause || select->sortClause ||
        select->limitOffset || select->limitCount || select->lockingClause || select->intoClause ||
        select->withClause || select->valuesLists || select->op != SETOP_NONE)
        ereport(ERROR,
                (errcode(ERRCODE_SYNTAX_ERROR), errmsg("\"%s\" is not one SQL expression", text)));
    target = linitial_node(ResTarget, select->targetList);
    /* A bare * is a target to the grammar, but transformExpr would take it for a column's name. */
    if (target->name != NULL || target->indirection != NIL ||
        (IsA(target->val, ColumnRef) && IsA(linitial(((ColumnRef *)target->val)->fields), A_Star)))
        ereport(ERROR,
                (errcode(ERRCODE_SYNTAX_ERROR), errmsg("\"%s\" is not one SQL expression", text)));
    return target->val;
}

/* A BEFORE trigger sees no generated column, no row as a whole that would contain one, and no
 * system column: tableoid, which a generated column may read, is not set yet when it fires. */
static bool check_columns_walker(Node *node, void *context) {
    Relation relation = context;

    if (node == NULL) return false;
    if (IsA(node, Var)) {
        AttrNumber attnum = ((Var *)node)->varattno;

        if (attnum == InvalidAttrNumber)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("cannot use the whole row in an expression of a migration")));
        if (attnum < 0)
            ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                            errmsg("cannot use a system column in an expression of a migration")));
        if (attnum > 0 &&
            TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attgenerated != '\0')
            ereport(
                ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("cannot use generated column \"%s\" in an expression of a migration",
                        NameStr(TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attname))));
        return false;
    }
    return expression_tree_walker(node, check_columns_walker, context);
}

Node *zdm_expression_parse(Relation relation, const char *text, int column_count,
                           const ZdmMappedColumn *columns, bool by_name, bool as_parameters,
                           Oid target_type, int32 target_typmod, Oid target_collation,
                           bool explicit_cast) {
    Resolution resolution = {RelationGetRelationName(relation), column_count, columns,
                             as_parameters};
    ErrorContextCallback context = {error_context_stack, name_expression, (void *)text};
    bool is_mapping = OidIsValid(target_type); /* else an expression of the catalog */
    ParseState *pstate = make_parsestate(NULL);
    ParseNamespaceItem *item;
    Node *node;

    error_context_stack = &context;
    item = addRangeTableEntryForRelation(pstate, relation, AccessShareLock, NULL, false, true);
    addNSItemToQuery(pstate, item, true, true, true);
    pstate->p_ref_hook_state = &resolution;
    if (by_name)
        pstate->p_pre_columnref_hook = column_hook;
    else
        pstate->p_paramref_hook = parameter_hook;

    node = transformExpr(pstate, zdm_expression_raw(text),
                         is_mapping ? EXPR_KIND_GENERATED_COLUMN : EXPR_KIND_CHECK_CONSTRAINT);
    if (is_mapping) {
        Oid type = exprType(node);
        Node *coerced =
            coerce_to_target_type(pstate, node, type, target_type, target_typmod,
                                  explicit_cast ? COERCION_EXPLICIT : COERCION_ASSIGNMENT,
                                  explicit_cast ? COERCE_EXPLICIT_CAST : COERCE_IMPLICIT_CAST, -1);

        if (coerced == NULL)
            ereport(ERROR,
                    (errcode(ERRCODE_DATATYPE_MISMATCH),
                     errmsg("expression \"%s\" is of type %s, which is not assigned to type %s "
                            "without a cast",
                            text, format_type_be(type), format_type_be(target_type))));
        node = coerced;
    }
    assign_expr_collations(pstate, node);
    if (is_mapping) {
        (void)check_columns_walker(node, relation);
        if (contain_volatile_functions(node))
            ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
                            errmsg("expression \"%s\" calls a volatile function: it would give "
                                   "another value each time it is compared",
                                   text)));
    }
    free_parsestate(pstate);
    error_context_stack = context.previous;
    return node;
}

ErrorData *zdm_expression_is_null(uint32_t relation, const char *text, const ZdmType *type,
                                  bool *is_null) {
    GUARD_BEGIN();
    Relation rel = table_open(relation, AccessShareLock);
    int nest = zdm_pin_settings();
    Node *node =
        eval_const_expressions(NULL, zdm_expression_parse(rel, text, 0, NULL, true, true, type->oid,
                                                          type->typmod, type->collation, false));

    *is_null = IsA(node, Const) && ((Const *)node)->constisnull;
    AtEOXact_GUC(false, nest);
    table_close(rel, NoLock);
    GUARD_END();
}

/* The server's own functions that are marked leakproof raise no error that depends on their
 * argument
 * ("Function leakproofness", CREATE FUNCTION): integer and float casts that widen, comparisons.
 * Not where a collation or a cryptographic library has a say, which may fail for reasons of its
 * own. */
static bool is_total_function(Oid function, Oid input_collation) {
    switch (function) {
        case F_TEXT_BOOL:
        case F_TEXT_CHAR:
        case F_TEXT_BPCHAR:
            return true;
        case F_MD5_BYTEA:
        case F_SHA224:
        case F_SHA256:
        case F_SHA384:
        case F_SHA512:
            return false;
        default:
            return function < FirstUnpinnedObjectId && !OidIsValid(input_collation) &&
                   get_func_leakproof(function);
    }
}

/* Types whose output function takes every value. */
static bool has_total_output(Oid type) {
    switch (type) {
        case BOOLOID:
        case INT2OID:
        case INT4OID:
        case INT8OID:
        case NUMERICOID:
        case FLOAT4OID:
        case FLOAT8OID:
        case UUIDOID:
        case DATEOID:
        case TIMESTAMPOID:
        case TIMESTAMPTZOID:
        case NAMEOID:
        case TEXTOID:
        case VARCHAROID:
            return true;
        default:
            return false;
    }
}

static bool are_total(List *expressions) {
    ListCell *cell;

    foreach (cell, expressions)
        if (!zdm_expression_is_total(lfirst(cell))) return false;
    return true;
}

bool zdm_expression_is_total(Node *expression) {
    if (expression == NULL) return true;
    switch (nodeTag(expression)) {
        case T_Var:
        case T_Param:
        case T_Const:
        case T_CaseTestExpr:
            return true;
        case T_RelabelType:
            return zdm_expression_is_total((Node *)((RelabelType *)expression)->arg);
        case T_CollateExpr:
            return zdm_expression_is_total((Node *)((CollateExpr *)expression)->arg);
        case T_NullTest:
            return zdm_expression_is_total((Node *)((NullTest *)expression)->arg);
        case T_BooleanTest:
            return zdm_expression_is_total((Node *)((BooleanTest *)expression)->arg);
        case T_BoolExpr:
            return are_total(((BoolExpr *)expression)->args);
        case T_CoalesceExpr:
            return are_total(((CoalesceExpr *)expression)->args);
        case T_FuncExpr: {
            FuncExpr *call = (FuncExpr *)expression;

            return is_total_function(call->funcid, call->inputcollid) && are_total(call->args);
        }
        case T_OpExpr: {
            OpExpr *operation = (OpExpr *)expression;

            return is_total_function(get_opcode(operation->opno), operation->inputcollid) &&
                   are_total(operation->args);
        }
        case T_CoerceViaIO: {
            CoerceViaIO *coercion = (CoerceViaIO *)expression;

            return (coercion->resulttype == TEXTOID || coercion->resulttype == VARCHAROID) &&
                   has_total_output(exprType((Node *)coercion->arg)) &&
                   zdm_expression_is_total((Node *)coercion->arg);
        }
        case T_CaseExpr: {
            CaseExpr *choice = (CaseExpr *)expression;
            ListCell *cell;

            foreach (cell, choice->args) {
                CaseWhen *when = lfirst_node(CaseWhen, cell);

                if (!zdm_expression_is_total((Node *)when->expr) ||
                    !zdm_expression_is_total((Node *)when->result))
                    return false;
            }
            return zdm_expression_is_total((Node *)choice->arg) &&
                   zdm_expression_is_total((Node *)choice->defresult);
        }
        default:
            return false;
    }
}

/* Planning runs functions of constants: they are the table owner's, and nothing they set stays. */
bool zdm_expression_is_mutable(Relation relation, Node *expression) {
    ZdmAsOwner as_owner = zdm_as_owner_begin(relation->rd_rel->relowner);
    bool is_mutable =
        contain_mutable_functions((Node *)expression_planner((Expr *)copyObject(expression)));

    zdm_as_owner_end(&as_owner);
    return is_mutable;
}

ErrorData *zdm_index_is_total(uint32_t index, bool *total) {
    GUARD_BEGIN();
    Relation relation = try_relation_open(index, AccessShareLock);

    *total = false;
    if (relation != NULL) {
        /* Constants are folded, by functions of whoever has made the index. */
        ZdmAsOwner as_owner = zdm_as_owner_begin(relation->rd_rel->relowner);

        *total = are_total(RelationGetIndexExpressions(relation)) &&
                 are_total(RelationGetIndexPredicate(relation));
        zdm_as_owner_end(&as_owner);
        relation_close(relation, AccessShareLock);
    }
    GUARD_END();
}
