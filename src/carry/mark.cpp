// The marks of an index: that CLUSTER goes by it, that it is the table's replica identity. They are
// on whichever index has the application's name.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Mark final : public Carrier {
  public:
    const char *name() const override { return "mark"; }
    // Behind indexes and keys.
    int rank() const override { return 68; }

    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        std::vector<Carried> found;
        if (!scope.is_paired() || scope.partitioned) return found;
        const Rows rows = query(
            R"(SELECT c.relname, i.indisclustered, i.indisreplident
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = $1::oid AND (i.indisclustered OR i.indisreplident) ORDER BY c.relname)",
            {scope.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row) {
            const Identifier index(rows.text(row, 0));
            if (rows.boolean(row, 1))
                found.push_back({name(), index.name, "",
                                 fmt::format("ALTER TABLE {} CLUSTER ON {}", scope.table, index),
                                 ""});
            if (rows.boolean(row, 2))
                found.push_back({name(), index.name, "",
                                 fmt::format("ALTER TABLE {} REPLICA IDENTITY USING INDEX {}",
                                             scope.table, index),
                                 ""});
        }
        return found;
    }

    // A replica identity demands NOT NULL of its columns.
    void take_off(const CarryScope &scope, const Carried &carried, Side) const override {
        const bool clusters = carried.definition.find(" CLUSTER ON ") != std::string::npos;
        query(fmt::format("ALTER TABLE {} {}", scope.table,
                          clusters ? "SET WITHOUT CLUSTER" : "REPLICA IDENTITY DEFAULT"));
    }

    void put_on(const CarryScope &, const Carried &carried, Side) const override {
        query(carried.definition);
    }
} const mark_carrier;

}  // namespace
}  // namespace zdm
