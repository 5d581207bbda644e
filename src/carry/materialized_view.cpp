// Materialized views. The counterpart is created over the new column in a short transaction,
// without data and with all its indexes, filled online in phase build and once more just before
// cutover, and exchanged by name. The old one stays until contract; a revert refreshes it first. So
// the data is that of a REFRESH just before the cutover (or the revert), whenever the last one was.
#include "carry/carrier.hpp"
#include "carry/view_graph.hpp"
#include "core/user.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr char separator = '\x01';

// definition: owner, whether it is filled, then the names of its indexes.
struct Original {
    uint32_t owner = 0;
    bool populated = false;
    std::vector<std::string> indexes;

    explicit Original(const Carried &carried) {
        const auto parts = split(carried.definition, separator);
        owner = static_cast<uint32_t>(std::stoul(parts.at(0)));
        populated = parts.at(1) == "t";
        indexes.assign(parts.begin() + 2, parts.end());
    }
};

struct Name {
    std::string schema, name;
};

Name parsed(const std::string &qualified) {
    const Rows rows = query("SELECT n[1], n[2] FROM parse_ident($1) AS n", {qualified});
    return {rows.text(0, 0), rows.text(0, 1)};
}

std::string qualified(const Name &name) {
    return fmt::format("{}.{}", Identifier(name.schema), Identifier(name.name));
}

using Renamed = std::string (*)(int64_t, const std::string &);

std::string counterpart_of(const CarryScope &scope, const std::string &object, Renamed renamed) {
    Name name = parsed(object);
    name.name = renamed(scope.migration.id, name.name);
    return qualified(name);
}

// The statements that make it, and what a GRANT cannot do: "acl <attnum> <aclitem[]>".
std::string statements_for(const CarryScope &scope, const View &view, const std::string &shadow) {
    std::vector<std::string> statements;
    const auto append = [&](const Rows &rows) {
        for (size_t row = 0; row < rows.size(); ++row) statements.push_back(rows.text(row, 0));
    };
    append(query(
        R"(SELECT format('CREATE MATERIALIZED VIEW %s%s%s%s%s AS %s WITH NO DATA', $2,
                         (SELECT format(' (%s)', string_agg(format('%I', attname), ', ' ORDER BY attnum))
                            FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 HAVING count(*) > 0),
                         (SELECT format(' USING %I', amname) FROM pg_am WHERE oid = c.relam),
                         (SELECT format(' WITH (%s)', string_agg(format('%I = %L', option_name, option_value), ', '))
                            FROM pg_options_to_table(c.reloptions) HAVING count(*) > 0),
                         (SELECT format(' TABLESPACE %I', spcname) FROM pg_tablespace WHERE oid = c.reltablespace),
                         rtrim(pg_get_viewdef(c.oid), '; '))
             FROM pg_class c WHERE c.oid = $1::oid)",
        {view.oid, shadow}));
    const Rows indexes = query(
        R"(SELECT x.relname, format('CREATE %sINDEX %I ON %s ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, $2),
                  pg_get_indexdef(x.oid), i.indisclustered,
                  (SELECT format('%I', spcname) FROM pg_tablespace WHERE oid = x.reltablespace), obj_description(x.oid, 'pg_class'),
                  CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, format('%I', n.nspname)
             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace n ON n.oid = x.relnamespace
            WHERE i.indrelid = $1::oid AND i.indisvalid ORDER BY x.relname)",
        {view.oid, view.name});
    for (size_t row = 0; row < indexes.size(); ++row) {
        const Identifier index(new_object_name(scope.migration.id, indexes.text(row, 0)));
        const std::string name = fmt::format("{}.{}", indexes.text(row, 7), index);
        statements.push_back(fmt::format("CREATE {}INDEX {} ON {} {}", indexes.text(row, 6), index,
                                         shadow,
                                         indexes.text(row, 2).substr(indexes.text(row, 1).size())));
        if (indexes.null_text(row, 4))
            statements.push_back(
                fmt::format("ALTER INDEX {} SET TABLESPACE {}", name, indexes.text(row, 4)));
        if (indexes.boolean(row, 3))
            statements.push_back(
                fmt::format("ALTER MATERIALIZED VIEW {} CLUSTER ON {}", shadow, index));
        if (indexes.null_text(row, 5))
            statements.push_back(
                fmt::format("COMMENT ON INDEX {} IS {}", name, Literal(indexes.text(row, 5))));
    }
    append(query(
        R"(SELECT format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET STATISTICS %s', $2, attname, attstattarget)
             FROM pg_attribute WHERE attrelid = $1::oid AND attnum > 0 AND attstattarget >= 0 ORDER BY attnum)",
        {view.oid, shadow}));
    append(query(
        R"(SELECT format('COMMENT ON %s IS %L', CASE WHEN a.attnum IS NULL THEN 'MATERIALIZED VIEW ' || $2 ELSE format('COLUMN %s.%I', $2, a.attname) END,
                         x.description)
             FROM pg_description x LEFT JOIN pg_attribute a ON a.attrelid = x.objoid AND a.attnum = x.objsubid AND a.attnum > 0
            WHERE x.classoid = 'pg_class'::regclass AND x.objoid = $1::oid ORDER BY x.objsubid)",
        {view.oid, shadow}));
    append(query(
        R"(SELECT format('acl 0 %s', relacl) FROM pg_class WHERE oid = $1::oid AND relacl IS NOT NULL
           UNION ALL
           (SELECT format('acl %s %s', attnum, attacl) FROM pg_attribute WHERE attrelid = $1::oid AND attacl IS NOT NULL ORDER BY attnum))",
        {view.oid}));
    return fmt::format("{}", fmt::join(statements, std::string(1, separator)));
}

class MaterializedView final : public Carrier {
  public:
    const char *name() const override { return "materialized_view"; }
    int rank() const override { return 80; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const bool carries = carries_views(scope);
        for (const auto &view : materialized_views_over(scope)) {
            const Rows rows = query(
                R"(SELECT r.oid, concat_ws(E'\x01', c.relowner, c.relispopulated,
                          (SELECT string_agg(x.relname, E'\x01' ORDER BY x.relname)
                             FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisvalid))
                     FROM pg_class c JOIN pg_rewrite r ON r.ev_class = c.oid WHERE c.oid = $1::oid)",
                {view.oid});
            check_other_migrations(scope, view);
            claim(dependents, pg_rewrite_id, rows.oid(0, 0));
            if (!carries) continue;
            const std::string shadow = counterpart_of(scope, view.name, new_object_name);
            found.push_back({name(), view.name, shadow, rows.text(0, 1),
                             statements_for(scope, view, shadow), true, view.oid,
                             fmt::format("{}/{}", exchanged_numbers(scope), view.oid)});
        }
        return found;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        std::vector<Step> steps{
            {0, Phase::build, "create_materialized_view", carried.shadow,
             fmt::format("Create the counterpart of {}, with its indexes and without data",
                         carried.object),
             split(carried.shadow_definition, separator).at(0), "ACCESS EXCLUSIVE"}};
        for (auto &step : refresh(scope, carried, Phase::build, carried.shadow))
            steps.push_back(std::move(step));
        return steps;
    }

    std::vector<Step> freshen(const CarryScope &scope, const Carried &carried) const override {
        return refresh(scope, carried, Phase::soak, carried.shadow);
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        return refresh(scope, carried, Phase::soak, old_name(scope, carried));
    }

    std::vector<Step> withdraw(const CarryScope &, const Carried &carried) const override {
        return {drop(Phase::build, carried.shadow)};
    }

    std::vector<Step> clean_up(const CarryScope &scope, const Carried &carried) const override {
        return {drop(Phase::done, old_name(scope, carried))};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        rename(scope, carried, nullptr, side == Side::old_side ? old_object_name : new_object_name);
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        rename(scope, carried, side == Side::old_side ? old_object_name : new_object_name, nullptr);
        set_related(scope.migration, carried,
                    query("SELECT to_regclass($1)::oid", {carried.object}).oid(0, 0));
    }

  private:
    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return counterpart_of(scope, carried.object, old_object_name);
    }

    // Two unfinished migrations would each make a counterpart of the other's.
    static void check_other_migrations(const CarryScope &scope, const View &view) {
        const auto other = object_of_migration(parsed(view.name).name);
        if (other && other->migration != scope.migration.id)
            raise(sqlstate::unsupported, {},
                  "zdm: {}: another unfinished migration changes a column of the same materialized "
                  "view ({}); finish it first",
                  described(scope), view.name);
    }

    static std::vector<Step> refresh(const CarryScope &, const Carried &carried, Phase phase,
                                     const std::string &view) {
        if (!Original(carried).populated) return {};
        return {{0, phase, "refresh", view, fmt::format("Fill {} and gather its statistics", view),
                 fmt::format("REFRESH MATERIALIZED VIEW {}", view), ""}};
    }

    static Step drop(Phase phase, const std::string &view) {
        return {0,
                phase,
                "drop_materialized_view",
                view,
                fmt::format("Drop {}", view),
                fmt::format("DROP MATERIALIZED VIEW IF EXISTS {}", view),
                "ACCESS EXCLUSIVE"};
    }

    // nullptr: the name for ever.
    static void rename(const CarryScope &scope, const Carried &carried, Renamed from, Renamed to) {
        const Original original(carried);
        const Name view = parsed(carried.object);
        OwnerScope as_owner(original.owner);
        const auto named = [&](Renamed renamed, const std::string &name) {
            return renamed == nullptr ? name : renamed(scope.migration.id, name);
        };
        query(fmt::format("ALTER MATERIALIZED VIEW {} RENAME TO {}",
                          qualified({view.schema, named(from, view.name)}),
                          Identifier(named(to, view.name))));
        for (const auto &index : original.indexes)
            query(fmt::format("ALTER INDEX {} RENAME TO {}",
                              qualified({view.schema, named(from, index)}),
                              Identifier(named(to, index))));
    }
} const materialized_view;

}  // namespace
}  // namespace zdm
