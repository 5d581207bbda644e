// The marks of an index: that CLUSTER goes by it, that it is the table's replica identity. They are
// on whichever index has the application's name. Partitions have their own.
#include <algorithm>

#include "carry/carrier.hpp"
#include "state/index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Mark final : public Carrier {
  public:
    const char *name() const override { return "mark"; }
    // Behind indexes and keys.
    int rank() const override { return 68; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    // After those whose indexes they are on, which have claimed what comes along.
    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        std::vector<uint32_t> claimed;
        for (const auto &dependent : dependents)
            if (dependent.claimed) claimed.push_back(dependent.object);
        const Rows rows = query(
            R"(SELECT c.relname, i.indisclustered, i.indisreplident, i.indrelid
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 LEFT JOIN pg_constraint k ON k.conrelid = i.indrelid AND k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
                WHERE i.indrelid = ANY ()" ZDM_TREE_OF(
                "$1::oid") R"() AND (i.indisclustered OR i.indisreplident)
                  AND (c.oid = ANY ($2::oid[]) OR k.oid = ANY ($2::oid[])
                       OR EXISTS (SELECT FROM pg_partition_ancestors(c.oid) a LEFT JOIN pg_constraint p ON p.conindid = a.relid AND p.contype IN ('p', 'u')
                                   WHERE a.relid = ANY ($2::oid[]) OR p.oid = ANY ($2::oid[])))
                ORDER BY c.relname, i.indrelid)",
            {scope.migration.relation, fmt::format("{{{}}}", fmt::join(claimed, ","))});
        for (size_t row = 0; row < rows.size(); ++row) {
            const Identifier index(rows.text(row, 0));
            const auto add = [&](const char *what) {
                found.push_back({name(), index.name, "", fmt::format("{} {}", what, index), "",
                                 true, partition_of(scope, rows.oid(row, 3))});
            };
            if (rows.boolean(row, 1)) add("CLUSTER ON");
            if (rows.boolean(row, 2)) add("REPLICA IDENTITY USING INDEX");
        }
        return found;
    }

    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        const auto is_gone = [&](const Carried &one) {
            return !find_index(relation_of(scope, one), one.object);
        };
        own.erase(std::remove_if(own.begin(), own.end(), is_gone), own.end());
        return own;
    }

    // A replica identity demands NOT NULL of its columns.
    void take_off(const CarryScope &scope, const Carried &carried, Side) const override {
        const bool clusters = carried.definition.rfind("CLUSTER ON ", 0) == 0;
        query(fmt::format("ALTER TABLE ONLY {} {}", scope_of(scope, carried).table,
                          clusters ? "SET WITHOUT CLUSTER" : "REPLICA IDENTITY DEFAULT"));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side) const override {
        query(fmt::format("ALTER TABLE ONLY {} {}", scope_of(scope, carried).table,
                          carried.definition));
    }
} const mark_carrier;

}  // namespace
}  // namespace zdm
