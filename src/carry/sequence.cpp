// A serial's sequence: the default calls it, the ownership says that it goes with the column. It
// moves with the default; dropping the old column must not take it along. Its position is
// untouched.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Sequence final : public Carrier {
  public:
    const char *name() const override { return "sequence"; }
    int rank() const override { return 10; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const Rows rows = query(
            R"(SELECT d.objid, format('%I.%I', n.nspname, c.relname), a.attname
                 FROM pg_depend d
                 JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
                 JOIN pg_namespace n ON n.oid = c.relnamespace
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                  AND d.refobjid = $1::oid AND d.deptype = 'a'
                ORDER BY 2)",
            {scope.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row) {
            const auto pair = pair_at(scope, rows.text(row, 2));
            if (pair && claim(dependents, pg_class_id, rows.oid(row, 0)))
                found.push_back(
                    {name(), rows.text(row, 1), "", scope.mapping.old_columns[*pair].name, ""});
        }
        return found;
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        query(fmt::format("ALTER SEQUENCE {} OWNED BY {}.{}", carried.object, scope.table,
                          column_of(scope, side, carried.definition)));
    }
} const sequence_carrier;

}  // namespace
}  // namespace zdm
