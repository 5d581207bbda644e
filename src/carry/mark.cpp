// The marks of an index: that CLUSTER goes by it, that it is the table's replica identity. They are
// on whichever index has the application's name. Partitions have their own.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Mark final : public Carrier {
  public:
    const char *name() const override { return "mark"; }
    // Behind indexes and keys.
    int rank() const override { return 68; }
    bool is_of_partition(const Carried &carried) const override { return carried.related != 0; }

    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const Rows rows = query(
            R"(SELECT c.relname, i.indisclustered, i.indisreplident, i.indrelid
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = ANY ()" ZDM_TREE_OF(
                "$1::oid") R"() AND (i.indisclustered OR i.indisreplident) ORDER BY c.relname, i.indrelid)",
            {scope.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row) {
            const Identifier index(rows.text(row, 0));
            const auto add = [&](const char *what) {
                Carried mark{
                    name(), index.name, "", "", "", true, partition_of(scope, rows.oid(row, 3))};
                mark.definition = fmt::format("ALTER TABLE ONLY {} {} {}",
                                              scope_of(scope, mark).table, what, index);
                found.push_back(std::move(mark));
            };
            if (rows.boolean(row, 1)) add("CLUSTER ON");
            if (rows.boolean(row, 2)) add("REPLICA IDENTITY USING INDEX");
        }
        return found;
    }

    // A replica identity demands NOT NULL of its columns.
    void take_off(const CarryScope &scope, const Carried &carried, Side) const override {
        const bool clusters = carried.definition.find(" CLUSTER ON ") != std::string::npos;
        query(fmt::format("ALTER TABLE ONLY {} {}", scope_of(scope, carried).table,
                          clusters ? "SET WITHOUT CLUSTER" : "REPLICA IDENTITY DEFAULT"));
    }

    void put_on(const CarryScope &, const Carried &carried, Side) const override {
        query(carried.definition);
    }
} const mark_carrier;

}  // namespace
}  // namespace zdm
