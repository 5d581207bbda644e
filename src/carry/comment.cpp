// COMMENT ON COLUMN.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Comment final : public Carrier {
  public:
    const char *name() const override { return "comment"; }
    int rank() const override { return 70; }

    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        for (const auto &column : scope.mapping.old_columns) {
            const Rows rows = query(
                R"(SELECT col_description(a.attrelid, a.attnum) FROM pg_attribute a
                WHERE a.attrelid = $1::oid AND a.attname = $2)",
                {scope.migration.relation, column.current_name(scope.soak_names)});
            if (!rows.empty() && rows.null_text(0, 0))
                found.push_back({name(), column.name, "", rows.text(0, 0), rows.text(0, 0)});
        }
        return found;
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        query(fmt::format("COMMENT ON COLUMN {}.{} IS NULL", scope.table,
                          column_of(scope, side, carried.object)));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        query(fmt::format("COMMENT ON COLUMN {}.{} IS {}", scope.table,
                          column_of(scope, side, carried.object), Literal(carried.definition)));
    }
} const comment_carrier;

}  // namespace
}  // namespace zdm
