// Exclusion constraints of a partitioned table (servers since 17), and of its partitions that are
// partitioned again: without rows themselves, they hold those of the leaves together, which come
// along by themselves (exclusion.cpp). At cutover the old one is dropped, when its parts have been
// detached, and a new one is created ONLY and the parts attached to it, which reads no row.
#include "carry/exclusion.hpp"

#include "carry/index_definition.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class PartitionedExclusion final : public Carrier {
  public:
    const char *name() const override { return "partitioned_exclusion"; }
    // On after its parts, and off before them.
    int rank() const override { return 63; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.partitioned || !scope.is_paired()) return found;
        const Rows rows = constraints(scope);
        for (size_t row = 0; row < rows.size(); ++row) {
            const bool by_key = claim(dependents, pg_constraint_id, rows.oid(row, 6));
            if (!claim(dependents, pg_class_id, rows.oid(row, 7)) && !by_key) continue;
            found.push_back(carried_of(scope, rows, row, Side::old_side));
        }
        return found;
    }

    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.partitioned || !scope.is_paired()) return own;
        const CarryScope other_way = turned_round(scope);
        std::vector<Carried> present;
        const Rows rows = constraints(scope);
        for (size_t row = 0; row < rows.size(); ++row) {
            Carried carried = carried_of(other_way, rows, row, Side::new_side);
            if (const Carried *recorded = same_named(own, carried.object, carried.related))
                present.push_back(*recorded);
            else if (reads_present_columns(scope, carried.related, carried.columns))
                present.push_back(std::move(carried));
        }
        return present;
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side) const override {
        detach_parts(index_there(scope, carried.related, carried.object).oid);
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", scope_of(scope, carried).table,
                          Identifier(carried.object)));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        query(side == Side::new_side ? carried.shadow_definition : carried.definition);
        make_exclusion(scope_of(scope, carried), carried, carried.object);
        attach_parts(scope, carried, {"exclusion", name()});
    }

  private:
    // Those of the deepest partitions first.
    static Rows constraints(const CarryScope &scope) {
        return query(
            "SELECT k.oid, k.conname, k.conindid, k.conrelid, " ZDM_EXCLUSION_TIMING_OF(
                "k") R"(, (SELECT x.indrelid || '.' || p.relname FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
                        JOIN pg_index x ON x.indexrelid = p.oid WHERE h.inhrelid = k.conindid),
                      tk.oid, tk.conindid
                 FROM pg_partition_tree($1::oid::regclass) t
                 JOIN pg_constraint k ON k.conrelid = t.relid AND k.contype = 'x'
                 JOIN pg_class c ON c.oid = k.conindid AND c.relkind = 'I'
                 JOIN pg_constraint tk ON tk.contype = 'x' AND tk.conindid = pg_partition_root(c.oid)
                ORDER BY t.level DESC, k.conname, k.conrelid)",
            {scope.migration.relation});
    }

    static Carried carried_of(const CarryScope &scope, const Rows &rows, size_t row,
                              Side old_side) {
        const std::string object = rows.text(row, 1);
        const uint32_t index = rows.oid(row, 2), table = rows.oid(row, 3);
        const IndexPlace place{object, "ONLY " + scope_on(scope, table).table, false};
        return {
            "partitioned_exclusion",
            object,
            "",
            index_definition(scope, index, place, old_side, Names::before),
            index_definition(scope, index, place, other_side(old_side), Names::soak),
            true,
            table,
            columns_of(pg_constraint_id, rows.oid(row, 0)) + " " + columns_of(pg_class_id, index),
            rows.text(row, 5),
            rows.text(row, 4)};
    }
} const partitioned_exclusion;

}  // namespace
}  // namespace zdm
