// The statements by which the row of a key is brought over. Written from the catalogs of the
// moment, so that a rename of a table is no matter; with operators and functions by their full
// names, for they run under the application's search_path.
//
// Rules of this folder: no exceptions, no destructors, longjmp may pass.
#include "hot/mirror.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/table.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace zdm {

namespace {

const char *quoted(Oid relation) {
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
                                      get_rel_name(relation));
}

// "s.a, s.b"
void append_names(StringInfo text, const char *prefix, char **names, int count) {
    for (int i = 0; i < count; i++)
        appendStringInfo(text, "%s%s%s", i > 0 ? ", " : "", prefix, quote_identifier(names[i]));
}

// "s.a OPERATOR(...) $1 AND ..."
void append_key(StringInfo text, const Mirror *mirror, const char *alias, int first_parameter) {
    for (int i = 0; i < mirror->key_count; i++)
        appendStringInfo(text, "%s%s.%s %s $%d", i > 0 ? " AND " : "", alias,
                         quote_identifier(mirror->key_names[i]), mirror->operators[i],
                         first_parameter + i);
}

void append_difference(StringInfo text, const Mirror *mirror, const char *left, const char *right) {
    appendStringInfoString(text, "pg_catalog.record_image_ne(ROW(");
    append_names(text, left, mirror->column_names, mirror->column_count);
    appendStringInfoString(text, "), ROW(");
    append_names(text, right, mirror->column_names, mirror->column_count);
    appendStringInfoString(text, "))");
}

// Between keys that are equal but not the same (1.0 and 1.00) as well.
void append_move(StringInfo text, const Mirror *mirror, const char *source, const char *part) {
    const int after = mirror->key_count + 1;
    appendStringInfo(text, "UPDATE ONLY %s AS n SET ", part);
    for (int i = 0; i < mirror->key_count; i++)
        appendStringInfo(text, "%s%s = $%d", i > 0 ? ", " : "",
                         quote_identifier(mirror->key_names[i]), after + i);
    appendStringInfoString(text, " WHERE ");
    append_key(text, mirror, "n", 1);
    appendStringInfoString(text, " AND (");
    for (int i = 0; i < mirror->key_count; i++)
        appendStringInfo(text, "%s$%d %s $%d", i > 0 ? " AND " : "", 1 + i, mirror->operators[i],
                         after + i);
    appendStringInfo(text, " OR NOT EXISTS (SELECT FROM ONLY %s AS s WHERE ", source);
    append_key(text, mirror, "s", 1);
    appendStringInfo(text, ")) AND NOT EXISTS (SELECT FROM ONLY %s AS m WHERE ", part);
    append_key(text, mirror, "m", after);
    appendStringInfoString(text, " AND m.ctid OPERATOR(pg_catalog.<>) n.ctid)");
}

// A row that lacks what the part demands is not put there: after cutover an application that knows
// the part leaves those columns of the source out, and writes the part's row itself.
void append_put(StringInfo text, const Mirror *mirror, const char *source, const char *part) {
    Oid part_id = mirror->is_source ? mirror->other : mirror->mine;
    appendStringInfo(text, "INSERT INTO %s AS n (", part);
    append_names(text, "", mirror->key_names, mirror->key_count + mirror->column_count);
    appendStringInfoString(text, ") SELECT ");
    append_names(text, "s.", mirror->key_names, mirror->key_count + mirror->column_count);
    appendStringInfo(text, " FROM ONLY %s AS s WHERE ", source);
    append_key(text, mirror, "s", 1);
    Relation relation = table_open(part_id, AccessShareLock);
    for (int i = 0; i < mirror->column_count; i++) {
        const AttrNumber column = get_attnum(part_id, mirror->column_names[i]);
        if (TupleDescAttr(RelationGetDescr(relation), column - 1)->attnotnull)
            appendStringInfo(text, " AND s.%s IS DISTINCT FROM NULL",
                             quote_identifier(mirror->column_names[i]));
    }
    table_close(relation, AccessShareLock);
    appendStringInfoString(text, " ON CONFLICT (");
    append_names(text, "", mirror->key_names, mirror->key_count);
    appendStringInfoString(text, ") DO UPDATE SET ");
    for (int i = 0; i < mirror->column_count; i++)
        appendStringInfo(text, "%s%s = excluded.%s", i > 0 ? ", " : "",
                         quote_identifier(mirror->column_names[i]),
                         quote_identifier(mirror->column_names[i]));
    appendStringInfoString(text, " WHERE ");
    append_difference(text, mirror, "n.", "excluded.");
}

// What the part's column gets where it is not given. As a value, not as text: that would be read
// again under whatever search_path the session has then.
struct Default {
    bool is_null = true;
    bool is_changing = false;  // another value with each call or transaction
    Datum value = 0;
};

Default default_of(Relation part, AttrNumber column) {
    Node *expression = build_column_default(part, column);
    if (expression == nullptr) return {};
    auto *folded =
        reinterpret_cast<Node *>(expression_planner(reinterpret_cast<Expr *>(expression)));
    if (!IsA(folded, Const)) return {false, true, 0};
    auto *constant = reinterpret_cast<Const *>(folded);
    return {constant->constisnull, false, constant->constvalue};
}

// The part's row of an INSERT into the source that did not know of the part: nothing but defaults.
// One that changes cannot be recognised by its value; but neither row has been written since where
// both are of one transaction.
void append_replace(StringInfo text, Mirror *mirror, const char *source, const char *part) {
    appendStringInfo(text, "DELETE FROM ONLY %s AS n WHERE ", part);
    append_key(text, mirror, "n", 1);
    Relation relation = table_open(mirror->mine, AccessShareLock);
    bool changing = false;
    mirror->default_count = 0;
    for (int i = 0; i < mirror->column_count; i++) {
        const char *column = quote_identifier(mirror->column_names[i]);
        auto *attribute = TupleDescAttr(RelationGetDescr(relation), mirror->columns[i] - 1);
        const Default value = default_of(relation, mirror->columns[i]);
        changing = changing || value.is_changing;
        if (value.is_changing) continue;
        appendStringInfo(text, " AND (n.%s IS NOT DISTINCT FROM NULL", column);
        if (!value.is_null) {
            MemoryContext before = MemoryContextSwitchTo(mirror->context);
            const int index = mirror->default_count++;
            mirror->default_types[index] = attribute->atttypid;
            mirror->default_values[index] =
                datumCopy(value.value, attribute->attbyval, attribute->attlen);
            MemoryContextSwitchTo(before);
            appendStringInfo(text, " OR pg_catalog.record_image_eq(ROW(n.%s), ROW($%d))", column,
                             mirror->key_count + mirror->default_count);
        }
        appendStringInfoChar(text, ')');
    }
    table_close(relation, AccessShareLock);
    if (!changing) return;
    appendStringInfo(text, " AND EXISTS (SELECT FROM ONLY %s AS s WHERE ", source);
    append_key(text, mirror, "s", 1);
    appendStringInfoString(text, " AND s.xmin OPERATOR(pg_catalog.=) n.xmin)");
}

void append_take(StringInfo text, const Mirror *mirror, const char *source, const char *part) {
    appendStringInfo(text, "UPDATE ONLY %s AS s SET ", source);
    for (int i = 0; i < mirror->column_count; i++)
        appendStringInfo(text, "%s%s = n.%s", i > 0 ? ", " : "",
                         quote_identifier(mirror->column_names[i]),
                         quote_identifier(mirror->column_names[i]));
    appendStringInfo(text, " FROM ONLY %s AS n WHERE ", part);
    append_key(text, mirror, "s", 1);
    appendStringInfoString(text, " AND ");
    append_key(text, mirror, "n", 1);
    appendStringInfoString(text, " AND ");
    append_difference(text, mirror, "s.", "n.");
}

void append_clear(StringInfo text, const Mirror *mirror, const char *source, const char *part,
                  bool all) {
    appendStringInfo(text, "UPDATE ONLY %s AS s SET ", source);
    for (int i = 0; i < mirror->column_count; i++)
        appendStringInfo(text, "%s%s = NULL", i > 0 ? ", " : "",
                         quote_identifier(mirror->column_names[i]));
    appendStringInfoString(text, " WHERE (");
    for (int i = 0; i < mirror->column_count; i++)
        appendStringInfo(text, "%ss.%s IS DISTINCT FROM NULL", i > 0 ? " OR " : "",
                         quote_identifier(mirror->column_names[i]));
    appendStringInfoChar(text, ')');
    if (all) return;
    appendStringInfoString(text, " AND ");
    append_key(text, mirror, "s", 1);
    appendStringInfo(text, " AND NOT EXISTS (SELECT FROM ONLY %s AS n WHERE ", part);
    append_key(text, mirror, "n", 1);
    appendStringInfoChar(text, ')');
}

}  // namespace

void append_statement(StringInfo text, Mirror *mirror, Statement statement) {
    const char *source = quoted(mirror->is_source ? mirror->mine : mirror->other);
    const char *part = quoted(mirror->is_source ? mirror->other : mirror->mine);
    switch (statement) {
        case move_row:
            append_move(text, mirror, source, part);
            break;
        case remove_row:
            appendStringInfo(text, "DELETE FROM ONLY %s AS n WHERE ", part);
            append_key(text, mirror, "n", 1);
            appendStringInfo(text, " AND NOT EXISTS (SELECT FROM ONLY %s AS s WHERE ", source);
            append_key(text, mirror, "s", 1);
            appendStringInfoChar(text, ')');
            break;
        case put_row:
            append_put(text, mirror, source, part);
            break;
        case empty_part:
            appendStringInfo(text, "TRUNCATE ONLY %s", part);
            break;
        case lock_row:
            appendStringInfo(text, "SELECT FROM ONLY %s AS s WHERE ", source);
            append_key(text, mirror, "s", 1);
            appendStringInfoString(text, " FOR NO KEY UPDATE");
            break;
        case replace_row:
            append_replace(text, mirror, source, part);
            break;
        case take_row:
            append_take(text, mirror, source, part);
            break;
        case clear_row:
            append_clear(text, mirror, source, part, false);
            break;
        case clear_source:
            append_clear(text, mirror, source, part, true);
            break;
        case statement_count:
            break;
    }
}

}  // namespace zdm
