// Extended statistics on columns and expressions: a counterpart is created before ANALYZE, so that
// the planner knows as much after cutover as before, and exchanged by name.
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

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const Rows rows = query(
            R"(SELECT s.oid, s.stxname, quote_ident(n.nspname),
                      (SELECT ' (' || string_agg(CASE k WHEN 'd' THEN 'ndistinct' WHEN 'f' THEN 'dependencies' ELSE 'mcv' END, ', ') || ')'
                         FROM unnest(s.stxkind) k WHERE k <> 'e'),
                      (SELECT string_agg(a.attname, E'\x01' ORDER BY a.attnum) FROM pg_attribute a
                        WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])),
                      coalesce((to_jsonb(s) ->> 'stxstattarget')::integer, -1), obj_description(s.oid, 'pg_statistic_ext'),
                      array_to_string(pg_get_statisticsobjdef_expressions(s.oid), E'\x01')
                 FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
                WHERE s.stxrelid = $1::oid AND s.stxowner = (SELECT relowner FROM pg_class WHERE oid = $1::oid)
                  AND quote_ident(n.nspname) = $2
                ORDER BY s.stxname)",
            {scope.migration.relation, scope.schema});
        for (size_t row = 0; row < rows.size(); ++row) {
            if (!claim(dependents, pg_statistic_ext_id, rows.oid(row, 0))) continue;
            const std::string object = rows.text(row, 1);
            const std::string shadow = new_object_name(scope.migration.id, object);
            std::vector<std::string> keys;
            for (const auto &column : split(rows.text(row, 4), '\x01')) {
                const auto pair = pair_at(scope, column);
                keys.push_back(quote(
                    Identifier(pair ? column_at(scope, Side::new_side, *pair).name : column)));
            }
            for (const auto &expression : split(rows.text(row, 7), '\x01'))
                keys.push_back(
                    fmt::format("({})", rebound(scope, expression, Side::new_side, Names::before,
                                                fmt::format("statistics {}", Identifier(object)))));
            // What follows the statement is told by the old one, at cutover.
            std::string after;
            if (rows.integer(row, 5) >= 0)
                after += fmt::format("ALTER STATISTICS {}.{} SET STATISTICS {}\x01", scope.schema,
                                     Identifier(object), rows.integer(row, 5));
            if (rows.null_text(row, 6))
                after += fmt::format("COMMENT ON STATISTICS {}.{} IS {}\x01", scope.schema,
                                     Identifier(object), Literal(rows.text(row, 6)));
            found.push_back({name(), object, shadow, after,
                             fmt::format("CREATE STATISTICS IF NOT EXISTS {}.{}{} ON {} FROM {}",
                                         scope.schema, Identifier(shadow), rows.text(row, 3),
                                         fmt::join(keys, ", "), scope.table),
                             true, 0, columns_of(pg_statistic_ext_id, rows.oid(row, 0))});
        }
        return found;
    }

    std::vector<Step> prepare(const CarryScope &, const Carried &carried) const override {
        return {{0, Phase::build, "create_statistics", carried.shadow,
                 fmt::format("Create statistics {}", Identifier(carried.shadow)),
                 carried.shadow_definition, "SHARE UPDATE EXCLUSIVE"}};
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        return {{0, Phase::build, "create_statistics", carried.shadow,
                 fmt::format("Drop statistics {}", Identifier(carried.shadow)),
                 fmt::format("DROP STATISTICS IF EXISTS {}.{}", scope.schema,
                             Identifier(carried.shadow)),
                 "SHARE UPDATE EXCLUSIVE"}};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        rename(scope, carried.object, name_of_side(scope, carried, side));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        rename(scope, name_of_side(scope, carried, side), carried.object);
        if (side == Side::old_side) return;
        for (const auto &statement : split(carried.definition, '\x01')) query(statement);
    }

  private:
    static std::string name_of_side(const CarryScope &scope, const Carried &carried, Side side) {
        return side == Side::new_side ? carried.shadow
                                      : old_object_name(scope.migration.id, carried.object);
    }
    static void rename(const CarryScope &scope, const std::string &from, const std::string &to) {
        query(fmt::format("ALTER STATISTICS {}.{} RENAME TO {}", scope.schema, Identifier(from),
                          Identifier(to)));
    }
} const statistics_carrier;

}  // namespace
}  // namespace zdm
