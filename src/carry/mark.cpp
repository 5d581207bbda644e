// The marks of an index: that CLUSTER goes by it, that it is the table's replica identity. They are
// on whichever index has the application's name. Partitions have their own.
#include <algorithm>
#include <functional>

#include "carry/carrier.hpp"

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
        if (!scope.is_paired()) return {};
        std::vector<uint32_t> claimed;
        for (const auto &dependent : dependents)
            if (dependent.claimed) claimed.push_back(dependent.object);
        return marks(scope, [&](const Rows &rows, size_t row) {
            for (const auto &oid : split(rows.text(row, 4), ' '))
                if (std::find(claimed.begin(), claimed.end(), std::stoul(oid)) != claimed.end())
                    return true;
            return false;
        });
    }

    // Whichever index has them by now.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        return marks(scope, [&](const Rows &rows, size_t row) {
            return reads_present_columns(scope, rows.oid(row, 3), rows.text(row, 5));
        });
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

  private:
    using Wanted = std::function<bool(const Rows &, size_t)>;

    // Rows: index, whether it has the one and the other mark, table, all that may be claimed for it
    // (itself, its constraint, those above it), the columns that it reads.
    static std::vector<Carried> marks(const CarryScope &scope, const Wanted &is_wanted) {
        const Rows rows = query(
            R"(SELECT c.relname, i.indisclustered, i.indisreplident, i.indrelid,
                      concat_ws(' ', c.oid, k.oid,
                                (SELECT string_agg(concat_ws(' ', a.relid::oid, p.oid), ' ')
                                   FROM pg_partition_ancestors(c.oid) a LEFT JOIN pg_constraint p ON p.conindid = a.relid AND p.contype IN ('p', 'u', 'x'))),
                      (SELECT string_agg(DISTINCT format('%s.%s', d.refobjid, d.refobjsubid), ' ') FROM pg_depend d
                        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
                          AND (d.classid = 'pg_class'::regclass AND d.objid = c.oid OR d.classid = 'pg_constraint'::regclass AND d.objid = k.oid))
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 LEFT JOIN pg_constraint k ON k.conrelid = i.indrelid AND k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
                WHERE i.indrelid = ANY ()" ZDM_TREE_OF(
                "$1::oid") R"() AND (i.indisclustered OR i.indisreplident)
                ORDER BY c.relname, i.indrelid)",
            {scope.migration.relation});
        std::vector<Carried> found;
        for (size_t row = 0; row < rows.size(); ++row) {
            if (!is_wanted(rows, row)) continue;
            const Identifier index(rows.text(row, 0));
            const auto add = [&](const char *what) {
                found.push_back({"mark", index.name, "", fmt::format("{} {}", what, index), "",
                                 true, partition_of(scope, rows.oid(row, 3))});
            };
            if (rows.boolean(row, 1)) add("CLUSTER ON");
            if (rows.boolean(row, 2)) add("REPLICA IDENTITY USING INDEX");
        }
        return found;
    }
} const mark_carrier;

}  // namespace
}  // namespace zdm
