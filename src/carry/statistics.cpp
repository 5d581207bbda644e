// Extended statistics on columns and expressions: a counterpart is created before ANALYZE, so that
// the planner knows as much after cutover as before. It is the table's owner's, in the table's
// schema, and takes over name, schema and owner of the original at cutover, which goes the other
// way. A partition may have some for itself.
#include "carry/carrier.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr uint32_t pg_statistic_ext_id = 3381;

class Statistics final : public Carrier {
  public:
    const char *name() const override { return "statistics"; }
    int rank() const override { return 72; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    std::vector<Carried> find(const CarryScope &table,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!table.is_paired()) return found;
        const Rows rows = query(
            R"(SELECT s.oid, s.stxname, quote_ident(n.nspname),
                      (SELECT ' (' || string_agg(CASE k WHEN 'd' THEN 'ndistinct' WHEN 'f' THEN 'dependencies' ELSE 'mcv' END, ', ') || ')'
                         FROM unnest(s.stxkind) k WHERE k <> 'e'),
                      (SELECT string_agg(a.attname, E'\x01' ORDER BY a.attnum) FROM pg_attribute a
                        WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])),
                      coalesce((to_jsonb(s) ->> 'stxstattarget')::integer, -1), obj_description(s.oid, 'pg_statistic_ext'),
                      array_to_string(pg_get_statisticsobjdef_expressions(s.oid), E'\x01'), s.stxrelid
                 FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
                WHERE s.stxrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
                ORDER BY s.stxname, n.nspname)",
            {table.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row) {
            if (!claim(dependents, pg_statistic_ext_id, rows.oid(row, 0))) continue;
            Carried carried;
            carried.carrier = name();
            carried.object = rows.text(row, 1);
            carried.related = partition_of(table, rows.oid(row, 8));
            const CarryScope scope = scope_of(table, carried);
            if (rows.text(row, 2) != scope.schema) carried.parent = rows.text(row, 2);
            carried.shadow = new_object_name(scope.migration.id, own_name(carried));
            const std::string shadow =
                fmt::format("{}.{}", scope.schema, Identifier(carried.shadow));
            std::vector<std::string> keys;
            for (const auto &column : split(rows.text(row, 4), '\x01')) {
                const auto pair = pair_at(scope, column);
                keys.push_back(quote(
                    Identifier(pair ? column_at(scope, Side::new_side, *pair).name : column)));
            }
            for (const auto &expression : split(rows.text(row, 7), '\x01'))
                keys.push_back(fmt::format(
                    "({})", rebound(scope, expression, Side::new_side, Names::before,
                                    fmt::format("statistics {}", Identifier(carried.object)))));
            // What follows the statement is told by the original, at cutover.
            if (rows.integer(row, 5) >= 0)
                carried.definition += fmt::format("ALTER STATISTICS {} SET STATISTICS {}\x01",
                                                  shadow, rows.integer(row, 5));
            if (rows.null_text(row, 6))
                carried.definition += fmt::format("COMMENT ON STATISTICS {} IS {}\x01", shadow,
                                                  Literal(rows.text(row, 6)));
            carried.shadow_definition =
                fmt::format("CREATE STATISTICS IF NOT EXISTS {}{} ON {} FROM {}", shadow,
                            rows.text(row, 3), fmt::join(keys, ", "), scope.table);
            carried.columns = columns_of(pg_statistic_ext_id, rows.oid(row, 0));
            found.push_back(std::move(carried));
        }
        return found;
    }

    std::vector<Step> prepare(const CarryScope &table, const Carried &carried) const override {
        return on(scope_of(table, carried),
                  {{0, Phase::build, "create_statistics", carried.shadow,
                    fmt::format("Create statistics {}", Identifier(carried.shadow)),
                    carried.shadow_definition, "SHARE UPDATE EXCLUSIVE"}});
    }

    std::vector<Step> withdraw(const CarryScope &table, const Carried &carried) const override {
        const CarryScope scope = scope_of(table, carried);
        return on(scope, {{0, Phase::build, "create_statistics", carried.shadow,
                           fmt::format("Drop statistics {}", Identifier(carried.shadow)),
                           fmt::format("DROP STATISTICS IF EXISTS {}.{}", scope.schema,
                                       Identifier(carried.shadow)),
                           "SHARE UPDATE EXCLUSIVE"}});
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &table, const Carried &carried, Side side) const override {
        const CarryScope scope = scope_of(table, carried);
        const Side other = side == Side::new_side ? Side::old_side : Side::new_side;
        if (side == Side::new_side)
            for (const auto &statement : split(carried.definition, '\x01')) query(statement);
        const std::string &schema = carried.parent.empty() ? scope.schema : carried.parent;
        const uint32_t taken = find_statistics(scope, schema, carried.object);
        const uint32_t taker =
            find_statistics(scope, scope.schema, name_of_side(scope, carried, side));
        check(zdm_statistics_take_place(taker, taken, name_of_side(scope, carried, other).c_str()));
    }

  private:
    // Two may have one name, in two schemas.
    static std::string own_name(const Carried &carried) {
        return carried.parent.empty() ? carried.object
                                      : fmt::format("{}.{}", carried.parent, carried.object);
    }

    static std::string name_of_side(const CarryScope &scope, const Carried &carried, Side side) {
        return side == Side::new_side ? carried.shadow
                                      : old_object_name(scope.migration.id, own_name(carried));
    }

    static uint32_t find_statistics(const CarryScope &scope, const std::string &schema,
                                    const std::string &object) {
        const Rows rows = query(
            R"(SELECT s.oid FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
                WHERE s.stxrelid = $1::oid AND s.stxname = $3
                ORDER BY quote_ident(n.nspname) = $2 DESC LIMIT 1)",
            {scope.migration.relation, schema, object});
        if (rows.empty())
            raise(sqlstate::undefined_object, {},
                  "{}: there are no statistics {}.{} any more; create them on the table's columns "
                  "again and SELECT zdm.resume({})",
                  described(scope.migration), schema, Identifier(object),
                  Literal(scope.migration.name));
        return rows.oid(0, 0);
    }
} const statistics_carrier;

}  // namespace
}  // namespace zdm
