// change_type: a shadow column zdm_new_<column> of the new type takes over the column's name at
// cutover. Where the server can change the type without a rewrite there is nothing to shadow: one
// short ALTER. A column that foreign keys connect with others takes them along (cascade), across
// tables: one migration, one cutover.
#include "kind/direct.hpp"
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"
#include "state/names.hpp"
#include "step/alter_type.hpp"

#include "core/transaction.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// The columns of a table that change together, in the order of their numbers.
struct Changed {
    Table table;
    std::vector<Column> columns;
};

// What foreign keys connect with the column, as far as it has the same type; by table, the given
// one first.
std::vector<Changed> closure_of(const Table &table, const Column &column) {
    const Rows rows = query(
        R"(WITH RECURSIVE edge AS (
               SELECT f.attrelid AS a, f.attnum AS x, t.attrelid AS b, t.attnum AS y
                 FROM pg_constraint k
                CROSS JOIN generate_subscripts(k.conkey, 1) AS n
                 JOIN pg_attribute kf ON kf.attrelid = k.conrelid AND kf.attnum = k.conkey[n]
                 JOIN pg_attribute kt ON kt.attrelid = k.confrelid AND kt.attnum = k.confkey[n]
                 -- A partition's column is its table's.
                 JOIN pg_attribute f ON f.attrelid = coalesce(pg_partition_root(k.conrelid), k.conrelid) AND f.attname = kf.attname
                 JOIN pg_attribute t ON t.attrelid = coalesce(pg_partition_root(k.confrelid), k.confrelid) AND t.attname = kt.attname
                WHERE k.contype = 'f' AND k.conparentid = 0),
           closure AS (
               SELECT $1::oid AS relation, $2::smallint AS attnum
               UNION
               SELECT other.relation, other.attnum
                 FROM closure c
                 JOIN edge e ON (e.a = c.relation AND e.x = c.attnum) OR (e.b = c.relation AND e.y = c.attnum)
                 CROSS JOIN LATERAL (VALUES (e.a, e.x), (e.b, e.y)) AS other(relation, attnum)
                 JOIN pg_attribute o ON o.attrelid = other.relation AND o.attnum = other.attnum
                WHERE o.atttypid = $3::oid)
           SELECT c.relation, a.attname FROM closure c
             JOIN pg_attribute a ON a.attrelid = c.relation AND a.attnum = c.attnum
            ORDER BY c.relation <> $1::oid, c.relation, c.attnum)",
        {table.relation, column.attnum, column.type});
    std::vector<Changed> closure;
    for (size_t row = 0; row < rows.size(); ++row) {
        if (closure.empty() || closure.back().table.relation != rows.oid(row, 0))
            closure.push_back({row == 0 ? table : table_for_migration(rows.oid(row, 0)), {}});
        closure.back().columns.push_back(
            column_for_migration(closure.back().table, rows.text(row, 1)));
    }
    for (const auto &changed : closure)
        if (changed.table.owner != table.owner)
            raise(sqlstate::unsupported, {},
                  "zdm: cannot change column {} of {}: foreign keys connect it with {}, which has "
                  "another owner; give both tables one owner, or cascade => false",
                  Identifier(column.name), table.name, changed.table.name);
    return closure;
}

// What the caller wrote, for the column that was named; it is the same for all of a closure.
struct Request {
    std::string column;
    ZdmType type;
    Text forward;
    Text reverse;
};

void check_names(const Table &table, const Column &column) {
    check_new_column_name(table, new_column_name(column.name));
    if (find_column(table, old_column_name(column.name)))
        raise(sqlstate::duplicate_column, {},
              "zdm: table {} has a column {} already, the name that {} gets at cutover", table.name,
              Identifier(old_column_name(column.name)), Identifier(column.name));
}

// $1..$n are the table's old columns, $n+1..$2n its new ones. An expression names its own column as
// the request does, and the others by their own names.
ZdmColumn in_expression(const Changed &changed, size_t column, size_t own, const Request &request,
                        const ZdmType &type) {
    static const std::string hidden;
    if (column == own) return parameter(request.column, type);
    const std::string &name = changed.columns[column].name;
    return parameter(name == request.column ? hidden : name, type);
}

MappedColumn forward_column(const Changed &changed, size_t own, const Request &request) {
    const Column &column = changed.columns[own];
    std::vector<ZdmColumn> parameters;
    for (size_t i = 0; i < changed.columns.size(); ++i)
        parameters.push_back(
            in_expression(changed, i, own, request, column_type(changed.columns[i])));
    ZdmExpression expression{};
    const auto no_cast = attempt({"42804"}, [&] {
        expression = canonical(
            changed.table, {request.forward ? *request.forward : quote(Identifier(request.column)),
                            parameters, request.type, false});
    });
    if (no_cast)
        raise(
            "42804", {},
            "zdm: cannot change column {} of {} to {}: {}; give forward, an SQL expression over {} "
            "that gives the new value",
            Identifier(column.name), changed.table.name, request.type.name, no_cast->what(),
            Identifier(request.column));
    return {new_column_name(column.name),
            column.name,
            request.type.name,
            expression.text,
            expression.total,
            expression.immutable};
}

MappedColumn reverse_column(const Changed &changed, size_t own, const Request &request) {
    const Column &column = changed.columns[own];
    const ZdmType old_type = column_type(column);
    std::vector<ZdmColumn> parameters;
    for (const auto &other : changed.columns)  // not to be named by an expression
        parameters.push_back({"", 0, other.type, other.typmod, other.collation});
    for (size_t i = 0; i < changed.columns.size(); ++i)
        parameters.push_back(in_expression(changed, i, own, request, request.type));
    // No cast back: the migration is not revertible once values exist that were written new.
    ZdmExpression expression{"", false, true};
    const auto no_way_back = attempt({"42804", "42846"}, [&] {
        expression = canonical(
            changed.table, {request.reverse ? *request.reverse : quote(Identifier(request.column)),
                            parameters, old_type, !request.reverse});
    });
    if (no_way_back && request.reverse)
        raise("42804", {},
              "zdm: reverse of column {} of {} does not give a value of its type {}: {}",
              Identifier(column.name), changed.table.name, old_type.name, no_way_back->what());
    return {column.name,      old_column_name(column.name), column.type_name, expression.text,
            expression.total, expression.immutable};
}

Mapping mapping_of(const Changed &changed, const Request &request) {
    Mapping mapping;
    for (size_t own = 0; own < changed.columns.size(); ++own) {
        check_names(changed.table, changed.columns[own]);
        mapping.new_columns.push_back(forward_column(changed, own, request));
        mapping.old_columns.push_back(reverse_column(changed, own, request));
    }
    return mapping;
}

void complete(Draft &draft, const Table &table, const Column &column, const std::string &new_type,
              const Text &forward, const Text &reverse, bool cascade) {
    const ZdmType type = new_column_type(table, new_type);
    if (column.type == type.oid && column.typmod == type.typmod && !forward) {
        draft.target = Phase::done;  // nothing to do, and the caller's deploy goes on
        return;
    }
    check_not_typed(table);  // nor is its type changed by an ALTER
    if (!forward && alter_type_is_short(table.relation, column.name, type)) {
        const std::string sql = fmt::format("ALTER TABLE {} ALTER COLUMN {} TYPE {}", table.quoted,
                                            Identifier(column.name), type.name);
        draft.target = Phase::done;
        draft.steps = {{0, Phase::done, "alter_type", column.name,
                        "Change the type, which rewrites nothing", sql, "ACCESS EXCLUSIVE"}};
        draft.direct = {sql};
        return;
    }
    std::vector<Changed> closure;
    if (cascade)
        closure = closure_of(table, column);
    else
        closure.push_back({table, {column}});
    const Request request{column.name, type, forward, reverse};
    for (const auto &changed : closure) {
        Mapping mapping = mapping_of(changed, request);
        if (changed.table.relation == table.relation)
            draft.mapping = std::move(mapping);
        else
            draft.further.emplace_back(changed.table, std::move(mapping));
    }
    draft.direct = direct_type_change(table, draft);
}

}  // namespace

Draft draft_change_type(const Table &table, const std::string &column_name,
                        const std::string &new_type, const Text &forward, const Text &reverse,
                        bool cascade) {
    ZdmType type{};
    check(zdm_type_parse(new_type.c_str(), false, &type));
    Draft draft;
    draft.kind = "change_type";
    draft.object = column_name;
    draft.columns = {column_name};
    draft.definition = fmt::format("change_type {} to {} forward {} reverse {} cascade {}",
                                   Identifier(column_name), type.name, forward.value_or("(cast)"),
                                   reverse.value_or("(cast)"), cascade);
    const auto now = find_column(table, column_name);
    draft.already_so = now && now->type == type.oid && now->typmod == type.typmod;
    draft.complete = [=](Draft &self) {
        complete(self, table, column_for_migration(table, column_name), new_type, forward, reverse,
                 cascade);
    };
    return draft;
}

}  // namespace zdm
