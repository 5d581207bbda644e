// What ALTER COLUMN SET keeps through a change of type: the statistics target and n_distinct.
// storage.cpp has storage and compression, which the server keeps only where there is none.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Attribute final : public Carrier {
  public:
    const char *name() const override { return "attribute"; }
    int rank() const override { return 15; }

    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        for (const auto &column : scope.mapping.old_columns) {
            // Servers since 15.20 keep a stamp of their own among the options.
            const Rows rows = query(
                R"(SELECT concat_ws('; ',
                              CASE WHEN attstattarget IS NOT NULL AND attstattarget <> -1
                                   THEN format('SET STATISTICS %s', attstattarget) END,
                              (SELECT format('SET (%s)', string_agg(quote_ident(o.option_name) || '=' || quote_literal(o.option_value), ', '))
                                 FROM pg_options_to_table(attoptions) o WHERE o.option_name LIKE 'n\_distinct%' HAVING count(*) > 0))
                     FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2)",
                {scope.migration.relation, column.current_name(scope.soak_names)});
            if (!rows.empty() && !rows.text(0, 0).empty())
                found.push_back({name(), column.name, "", rows.text(0, 0), rows.text(0, 0)});
        }
        return found;
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    // The old column has kept its own.
    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (side == Side::old_side) return;
        const std::string &text = carried.definition;
        for (size_t from = 0; from < text.size();) {
            const size_t to = std::min(text.find("; ", from), text.size());
            query(fmt::format("ALTER TABLE {} ALTER COLUMN {} {}", scope.table,
                              column_of(scope, side, carried.object),
                              text.substr(from, to - from)));
            from = to == text.size() ? to : to + 2;
        }
    }
} const attribute_carrier;

}  // namespace
}  // namespace zdm
