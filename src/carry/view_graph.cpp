#include "carry/view_graph.hpp"

#include <algorithm>
#include <functional>

#include "core/transaction.hpp"
#include "core/user.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// The columns that the application's names stand for now, with the types that they stand for after
// the next swap; those of partitions too.
std::vector<ZdmViewColumn> exchanged_columns(const std::vector<CarryScope> &scopes) {
    std::vector<ZdmViewColumn> columns;
    for (const auto &scope : scopes) {
        const Side now = scope.soak_names ? Side::new_side : Side::old_side;
        const Side then = scope.soak_names ? Side::old_side : Side::new_side;
        for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair) {
            ZdmType type{};
            check(zdm_type_parse(column_at(scope, then, pair).type.c_str(), true, &type));
            const Rows rows = query(
                R"(SELECT attrelid, attnum FROM pg_attribute
                    WHERE attrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
                      AND attname = $2 AND NOT attisdropped)",
                {scope.migration.relation,
                 column_at(scope, now, pair).current_name(scope.soak_names)});
            for (size_t row = 0; row < rows.size(); ++row)
                columns.push_back({rows.oid(row, 0), static_cast<int>(rows.integer(row, 1)),
                                   type.oid, type.typmod, type.collation});
        }
    }
    return columns;
}

std::vector<uint32_t> oids(const std::string &text) {
    std::vector<uint32_t> result;
    for (const auto &one : split(text, ' '))
        result.push_back(static_cast<uint32_t>(std::stoul(one)));
    return result;
}

std::vector<View> readers_of(const std::vector<ZdmViewColumn> &columns, const char *relkind) {
    std::vector<std::string> keys;
    for (const auto &column : columns)
        keys.push_back(fmt::format("{}.{}", column.relation, column.attnum));
    const Rows rows = query(
        R"(WITH RECURSIVE reader(view, base, direct) AS (
               SELECT r.ev_class, d.refobjid, true
                 FROM unnest(string_to_array($1, ' ')) AS key
                 JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
                                 AND d.refobjid = split_part(key, '.', 1)::oid
                                 AND d.refobjsubid = split_part(key, '.', 2)::integer
                 JOIN pg_rewrite r ON r.oid = d.objid AND r.rulename = '_RETURN'
               UNION
               SELECT r.ev_class, d.refobjid, false
                 FROM reader
                 JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
                                 AND d.refobjid = reader.view
                 JOIN pg_rewrite r ON r.oid = d.objid AND r.rulename = '_RETURN' AND r.ev_class <> reader.view)
           SELECT c.oid, c.relowner, format('%I.%I', n.nspname, c.relname),
                  string_agg(DISTINCT reader.base::text, ' '), bool_or(reader.direct)
             FROM reader JOIN pg_class c ON c.oid = reader.view JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind::text = $2 AND c.relpersistence = 'p'
            GROUP BY c.oid, n.nspname ORDER BY c.oid)",
        {fmt::format("{}", fmt::join(keys, " ")), relkind});
    std::vector<View> views;
    for (size_t row = 0; row < rows.size(); ++row)
        views.push_back({rows.oid(row, 0), rows.oid(row, 1), rows.text(row, 2),
                         oids(rows.text(row, 3)), rows.boolean(row, 4), false});
    return views;
}

// Those that others read first: by OID that is so only as long as no view was replaced.
std::vector<View> in_order(const std::vector<View> &views) {
    std::vector<View> ordered;
    std::vector<uint32_t> seen;
    const std::function<void(const View &)> visit = [&](const View &view) {
        if (std::find(seen.begin(), seen.end(), view.oid) != seen.end()) return;
        seen.push_back(view.oid);
        for (const auto &base : views)
            if (std::find(view.bases.begin(), view.bases.end(), base.oid) != view.bases.end())
                visit(base);
        ordered.push_back(view);
    };
    for (const auto &view : views) visit(view);
    return ordered;
}

struct Shape {
    std::vector<ZdmViewColumn> columns;
    bool known = false;  // else the server can only tell with the column in its place
};

[[noreturn]] void refuse(const CarryScope &scope, const View &view, const std::string &why) {
    raise(sqlstate::unsupported, {},
          "zdm: {}: view {} {}; drop it first and create it again after cutover", described(scope),
          view.name, why);
}

Shape shape_of(const CarryScope &scope, const View &view,
               const std::vector<ZdmViewColumn> &changed) {
    const std::string text = query("SELECT pg_get_viewdef($1::oid)", {view.oid}).text(0, 0);
    const ZdmViewColumn *columns = nullptr;
    int width = 0;
    Shape shape;
    const auto error =
        attempt({"42883", "42804", "42725", "42846", "42P18", "42P21", "42P22", "42501", "22P02",
                 "22003", "22007", "22008", "42803", "42703", "0A000", "42P01", "42P10", "42P13"},
                [&] {
                    OwnerScope as_owner(view.owner);
                    check(zdm_view_shape(text.c_str(), static_cast<int>(changed.size()),
                                         changed.data(), &width, &columns));
                });
    if (!error) {
        shape.known = true;
        shape.columns.assign(columns, columns + width);
        return shape;
    }
    // System columns, GROUP BY a primary key, FOR UPDATE OF: there is no table to look at yet.
    for (const char *untold : {"42803", "42703", "0A000", "42P01", "42P10"})
        if (error->sqlstate() == untold) return shape;
    refuse(scope, view, fmt::format("would not work with the new type ({})", error->what()));
}

// As checkViewColumns (view.c) compares them.
bool has_shape(const View &view, const Shape &shape) {
    const Rows rows = query(
        R"(SELECT atttypid, atttypmod, attcollation FROM pg_attribute
            WHERE attrelid = $1::oid AND attnum > 0 ORDER BY attnum)",
        {view.oid});
    if (rows.size() != shape.columns.size()) return false;
    for (size_t row = 0; row < rows.size(); ++row)
        if (rows.oid(row, 0) != shape.columns[row].type ||
            rows.integer(row, 1) != shape.columns[row].typmod ||
            rows.oid(row, 2) != shape.columns[row].collation)
            return false;
    return true;
}

bool same_types(const std::vector<CarryScope> &scopes) {
    for (const auto &scope : scopes)
        for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair)
            if (scope.mapping.old_columns[pair].type != scope.mapping.new_columns[pair].type)
                return false;
    return true;
}

void require_schema(const CarryScope &scope, const View &view) {
    const Rows rows = query(
        R"(SELECT has_schema_privilege(c.relowner, c.relnamespace, 'CREATE'), format('%I', n.nspname)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid)",
        {view.oid});
    if (!rows.boolean(0, 0))
        refuse(scope, view,
               fmt::format("could not be created again: its owner has no CREATE on schema {}",
                           rows.text(0, 1)));
}

}  // namespace

void require_free(const CarryScope &scope, const View &view, const std::vector<View> &views) {
    std::vector<uint32_t> recreated;
    for (const auto &one : views)
        if (one.recreated) recreated.push_back(one.oid);
    const Rows rows = query(
        R"(WITH own AS (
               SELECT 'pg_class'::regclass::oid AS class, c.oid AS object FROM pg_class c WHERE c.oid = $1::oid
               UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_class c JOIN pg_type t ON t.oid = c.reltype WHERE c.oid = $1::oid
               UNION ALL SELECT 'pg_type'::regclass, t.typarray FROM pg_class c JOIN pg_type t ON t.oid = c.reltype WHERE c.oid = $1::oid
               UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid = $1::oid
               UNION ALL SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite WHERE ev_class = $1::oid
               UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE tgrelid = $1::oid
               UNION ALL SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef WHERE adrelid = $1::oid)
           SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ')
             FROM own JOIN pg_depend d ON d.refclassid = own.class AND d.refobjid = own.object
            WHERE NOT EXISTS (SELECT FROM own o WHERE (o.class, o.object) = (d.classid, d.objid))
              AND NOT (d.classid = 'pg_class'::regclass
                       AND EXISTS (SELECT FROM pg_class t WHERE t.oid = d.objid AND t.relkind = 't'))
              AND NOT (d.classid = 'pg_rewrite'::regclass
                       AND EXISTS (SELECT FROM pg_rewrite r WHERE r.oid = d.objid AND r.rulename = '_RETURN'
                                      AND r.ev_class = ANY (string_to_array($2, ' ')::oid[]))))",
        {view.oid, fmt::format("{}", fmt::join(recreated, " "))});
    if (rows.null_text(0, 0))
        raise(sqlstate::unsupported, {},
              "zdm: {}: {} has to be created anew, and {} depends on it, which cannot "
              "come along; drop that first and create it again after cutover",
              described(scope), view.name, rows.text(0, 0));
    const Rows marks = query(
        R"(SELECT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = $1::oid AND deptype = 'e'),
                  EXISTS (SELECT FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = $1::oid),
                  (SELECT string_agg(t.tgfoid::regprocedure::text, ', ') FROM pg_trigger t
                    WHERE t.tgrelid = $1::oid AND NOT has_function_privilege($2::oid, t.tgfoid, 'EXECUTE')))",
        {view.oid, view.owner});
    if (marks.boolean(0, 0)) refuse(scope, view, "belongs to an extension and cannot come along");
    if (marks.boolean(0, 1)) refuse(scope, view, "has a security label and cannot come along yet");
    if (marks.null_text(0, 2))
        refuse(scope, view,
               fmt::format("has a trigger whose function {} its owner may not execute",
                           marks.text(0, 2)));
}

void require_role(const CarryScope &scope, uint32_t owner, const std::string &object) {
    bool may = false;
    check(zdm_role_may_act_as(scope.migration.owner, owner, &may));
    if (may) return;
    const Rows rows = query(
        "SELECT format('%I', pg_get_userbyid($1::oid)), format('%I', pg_get_userbyid($2::oid))",
        {scope.migration.owner, owner});
    raise(sqlstate::unsupported, {},
          "zdm: {}: {} depends on it and belongs to {}, and the table's owner {} may not act as "
          "that role; GRANT {} TO {}, or drop it first and create it again after cutover",
          described(scope), object, rows.text(0, 1), rows.text(0, 0), rows.text(0, 1),
          rows.text(0, 0));
}

std::vector<View> materialized_views_over(const CarryScope &scope) {
    std::vector<View> views = readers_of(exchanged_columns(scopes_of(scope.migration)), "m");
    views.erase(
        std::remove_if(views.begin(), views.end(), [](const View &view) { return !view.direct; }),
        views.end());
    for (const auto &view : views) {
        require_role(scope, view.owner, fmt::format("materialized view {}", view.name));
        require_schema(scope, view);
        require_free(scope, view, {});
    }
    return views;
}

std::string exchanged_numbers(const CarryScope &scope) {
    std::vector<std::string> numbers;
    for (const auto &one : scopes_of(scope.migration)) {
        const Side now = one.soak_names ? Side::new_side : Side::old_side;
        const Side then = one.soak_names ? Side::old_side : Side::new_side;
        for (size_t pair = 0; pair < one.mapping.old_columns.size(); ++pair) {
            const Rows rows = query(
                R"(SELECT string_agg(format('%s.%s.%s', f.attrelid, f.attnum, t.attnum), ' ' ORDER BY f.attrelid)
                     FROM pg_attribute f JOIN pg_attribute t ON t.attrelid = f.attrelid
                    WHERE f.attrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
                      AND f.attname = $2 AND t.attname = $3)",
                {one.migration.relation, column_at(one, now, pair).current_name(one.soak_names),
                 column_at(one, then, pair).current_name(one.soak_names)});
            if (rows.null_text(0, 0)) numbers.push_back(rows.text(0, 0));
        }
    }
    return fmt::format("{}", fmt::join(numbers, " "));
}

void create_exchanged(const std::string &statement, const std::string &numbers) {
    std::vector<ZdmColumnPair> pairs;
    for (const auto &one : split(numbers, ' ')) {
        const auto parts = split(one, '.');
        pairs.push_back({static_cast<uint32_t>(std::stoul(parts.at(0))), std::stoi(parts.at(1)),
                         std::stoi(parts.at(2))});
    }
    check(zdm_run_exchanged(statement.c_str(), static_cast<int>(pairs.size()), pairs.data()));
}

bool carries_views(const CarryScope &scope) {
    return on_each_table(scope.migration).front().relation == scope.migration.relation;
}

std::vector<View> views_over(const CarryScope &scope) {
    const auto scopes = scopes_of(scope.migration);
    auto changed = exchanged_columns(scopes);
    const bool types_stay = same_types(scopes);
    std::vector<View> views;
    for (auto &view : in_order(readers_of(changed, "v"))) {
        const bool on_recreated = std::any_of(views.begin(), views.end(), [&](const View &base) {
            return base.recreated &&
                   std::find(view.bases.begin(), view.bases.end(), base.oid) != view.bases.end();
        });
        if (!view.direct && !on_recreated) continue;
        const Shape shape = shape_of(scope, view, changed);
        view.recreated = on_recreated || (!types_stay && !(shape.known && has_shape(view, shape)));
        for (auto column : shape.columns) {
            column.relation = view.oid;
            changed.push_back(column);
        }
        views.push_back(view);
    }
    for (const auto &view : views) {
        require_role(scope, view.owner, fmt::format("view {}", view.name));
        require_schema(scope, view);
        if (view.recreated) require_free(scope, view, views);
    }
    return views;
}

}  // namespace zdm
