// DEFAULT: moves to the side that the application writes. Never on both: a serial's default would
// burn two values an insert, and the sync trigger tells from a missing default which side was
// given.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Default final : public Carrier {
  public:
    const char *name() const override { return "default"; }
    int rank() const override { return 20; }
    bool is_of_partition(const Carried &carried) const override { return carried.related != 0; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        for (const auto &column : scope.mapping.old_columns) {
            const Rows rows = query(
                R"(SELECT d.oid, pg_get_expr(d.adbin, d.adrelid)
                     FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                    WHERE d.adrelid = $1::oid AND a.attname = $2 AND a.attgenerated = '')",
                {scope.migration.relation, column.current_name(scope.soak_names)});
            if (rows.empty()) continue;
            claim(dependents, pg_attrdef_id, rows.oid(0, 0));
            found.push_back({name(), column.name, "", rows.text(0, 1), ""});
        }
        // After their parents', which what is done to a parent overwrites.
        for (const auto &column : scope.mapping.old_columns)
            find_in_partitions(scope, column, found);
        return found;
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (const auto column = column_named(scope, carried, side))
            query(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
                              table_of(scope, carried), *column));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (const auto column = column_named(scope, carried, side))
            query(fmt::format(
                "ALTER TABLE {} ALTER COLUMN {} {}", table_of(scope, carried), *column,
                carried.definition.empty() ? "DROP DEFAULT" : "SET DEFAULT " + carried.definition));
    }

  private:
    // Of a partition: its own default, or "" where the parent has one and it has none.
    void find_in_partitions(const CarryScope &scope, const MappedColumn &column,
                            std::vector<Carried> &found) const {
        if (!scope.partitioned) return;
        const Rows rows = query(
            R"(WITH part AS (
                   SELECT t.relid::oid AS oid, t.parentrelid::oid AS parent, t.level,
                          coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS value
                     FROM pg_partition_tree($1::oid::regclass) t
                     JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = $2 AND a.attgenerated = ''
                     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum)
               SELECT p.oid, p.value FROM part p JOIN part o ON o.oid = p.parent
                WHERE p.value <> o.value ORDER BY p.level, p.oid)",
            {scope.migration.relation, column.current_name(scope.soak_names)});
        for (size_t row = 0; row < rows.size(); ++row)
            found.push_back({name(), column.name, "", rows.text(row, 1), "", true, rows.oid(row, 0),
                             rows.text(row, 0)});
    }

    static std::string table_of(const CarryScope &scope, const Carried &carried) {
        if (carried.related == 0) return scope.table;
        return "ONLY " + query("SELECT $1::oid::regclass", {carried.related}).text(0, 0);
    }

    // Where columns are not a pair, the new ones have no default to inherit.
    static std::optional<Identifier> column_named(const CarryScope &scope, const Carried &carried,
                                                  Side side) {
        if (scope.is_paired()) return column_of(scope, side, carried.object);
        if (side == Side::new_side) return std::nullopt;
        for (const auto &column : scope.mapping.old_columns)
            if (column.name == carried.object)
                return Identifier(column.current_name(scope.soak_names));
        return std::nullopt;
    }
} const default_carrier;

}  // namespace
}  // namespace zdm
