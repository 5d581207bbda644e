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
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        return defaults(scope, Side::old_side, dependents);
    }

    // Left on the new column it would be taken for a value that was given, after a revert.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        refuse_new_identity(scope);
        std::vector<Dependent> nobody;
        auto present = defaults(scope, Side::new_side, nobody);
        for (auto &carried : present) {
            const Carried *recorded = same_named(own, carried.object, carried.related);
            if (recorded != nullptr && as_put_on(scope, *recorded) == carried.definition)
                carried = *recorded;
        }
        return present;
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
    // Named after the old columns.
    std::vector<Carried> defaults(const CarryScope &scope, Side side,
                                  std::vector<Dependent> &dependents) const {
        const auto &columns =
            side == Side::old_side ? scope.mapping.old_columns : scope.mapping.new_columns;
        std::vector<Carried> found;
        for (size_t i = 0; i < columns.size(); ++i) {
            const Rows rows = query(
                R"(SELECT d.oid, pg_get_expr(d.adbin, d.adrelid)
                     FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                    WHERE d.adrelid = $1::oid AND a.attname = $2 AND a.attgenerated = '')",
                {scope.migration.relation, columns[i].current_name(scope.soak_names)});
            if (rows.empty()) continue;
            claim(dependents, pg_attrdef_id, rows.oid(0, 0));
            found.push_back({name(), scope.mapping.old_columns[i].name, "", rows.text(0, 1), ""});
        }
        // After their parents', which what is done to a parent overwrites.
        for (size_t i = 0; i < columns.size(); ++i)
            find_in_partitions(scope, scope.mapping.old_columns[i].name,
                               columns[i].current_name(scope.soak_names), found);
        return found;
    }

    static void refuse_new_identity(const CarryScope &scope) {
        for (const auto &one : load_carried(scope.migration))
            if (one.carrier == "identity") return;
        for (const auto &column : scope.mapping.new_columns)
            if (!query("SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND "
                       "attidentity <> ''",
                       {scope.migration.relation, column.soak_name})
                     .empty())
                raise(sqlstate::unsupported, {},
                      "{} cannot be reverted: column {} has become an identity column since "
                      "cutover; ALTER TABLE {} ALTER {} DROP IDENTITY and SELECT zdm.resume({})",
                      described(scope.migration), Identifier(column.soak_name), scope.table,
                      Identifier(column.soak_name), Literal(scope.migration.name));
    }

    // As the server shows it for the new column.
    static std::string as_put_on(const CarryScope &scope, const Carried &carried) {
        if (carried.definition.empty()) return "";
        for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair) {
            if (scope.mapping.old_columns[pair].name != carried.object) continue;
            ZdmType type{};
            const char *shown = nullptr;
            bool is_volatile = false;
            check(zdm_type_parse(column_at(scope, Side::new_side, pair).type.c_str(), true, &type));
            check(zdm_default_parse(carried.definition.c_str(), &type, &shown, &is_volatile));
            return shown;
        }
        return carried.definition;
    }

    // Of a partition: its own default, or "" where the parent has one and it has none.
    void find_in_partitions(const CarryScope &scope, const std::string &object,
                            const std::string &column, std::vector<Carried> &found) const {
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
            {scope.migration.relation, column});
        for (size_t row = 0; row < rows.size(); ++row)
            found.push_back({name(), object, "", rows.text(row, 1), "", true, rows.oid(row, 0)});
    }

    static std::string table_of(const CarryScope &scope, const Carried &carried) {
        return (carried.related != 0 ? "ONLY " : "") + scope_of(scope, carried).table;
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
