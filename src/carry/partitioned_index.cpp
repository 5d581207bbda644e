// Indexes of a partitioned table, with the primary keys and unique constraints that they back, and
// those that a partition has for itself.
//
// The server builds nothing concurrently on a partitioned table, and its constraints take no
// existing index. So each leaf's counterpart is built beside its writes and stays by itself. At
// cutover the leaves' old indexes are detached and renamed, and the parents, which have no rows,
// are dropped; the new leaves take over names and constraints, and the parents are created ONLY and
// the leaves attached to them, level by level, which checks that they fit and reads no row. Revert
// is the same with the sides exchanged.
#include <algorithm>

#include "carry/carrier.hpp"
#include "carry/index_definition.hpp"
#include "state/index.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// An index of the tree: of the table itself, a partition that is partitioned again, or a leaf.
struct Node {
    uint32_t index = 0;
    std::string name;
    uint32_t table = 0;
    std::string parent;  // as Carried::parent
    bool leaf = false;
    // Where a constraint is on it: PRIMARY KEY or UNIQUE, and " DEFERRABLE ...".
    std::string keyword;
    std::string timing;
    bool usable = true;
    uint32_t constraint = 0;
    std::string made_by;  // xmin of the index
};

// Those of the table, and those that partitions have for themselves.
std::vector<uint32_t> top_indexes(uint32_t table) {
    return query(R"(SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                     WHERE i.indrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"() AND NOT c.relispartition
                     ORDER BY i.indrelid <> $1::oid, i.indexrelid)",
                 {table})
        .oids();
}

// Leaves first, the top one last. A leaf's own is alone.
std::vector<Node> tree_of(uint32_t top) {
    const Rows rows = query(
        R"(SELECT c.oid, c.relname, i.indrelid, pi.indrelid || '.' || p.relname, c.relkind = 'i',
                  CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' ELSE '' END,
                  )" ZDM_TIMING_OF("k") R"(, i.indisvalid AND k.contype IS DISTINCT FROM 'x'
                      AND coalesce(to_jsonb(k) ->> 'conperiod', 'false') = 'false',
                  coalesce(k.oid, 0), c.xmin
             FROM (SELECT relid::oid, parentrelid::oid, level FROM pg_partition_tree($1::oid::regclass)
                   UNION SELECT oid, NULL, 0 FROM pg_class WHERE oid = $1::oid) t
             JOIN pg_class c ON c.oid = t.relid JOIN pg_index i ON i.indexrelid = c.oid
             LEFT JOIN pg_class p ON p.oid = t.parentrelid LEFT JOIN pg_index pi ON pi.indexrelid = p.oid
             LEFT JOIN pg_constraint k ON k.conrelid = i.indrelid AND k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
            ORDER BY t.level DESC, c.oid)",
        {top});
    std::vector<Node> nodes;
    for (size_t row = 0; row < rows.size(); ++row)
        nodes.push_back({rows.oid(row, 0), rows.text(row, 1), rows.oid(row, 2), rows.text(row, 3),
                         rows.boolean(row, 4), rows.text(row, 5), rows.text(row, 6),
                         rows.boolean(row, 7), rows.oid(row, 8), rows.text(row, 9)});
    return nodes;
}

bool claim(std::vector<Dependent> &dependents, const Node &node) {
    return node.constraint != 0 ? claim(dependents, pg_constraint_id, node.constraint)
                                : claim(dependents, pg_class_id, node.index);
}

std::string quoted_table(const CarryScope &scope, uint32_t table) {
    return scope_on(scope, table).table;
}

std::string quoted_index(const CarryScope &scope, uint32_t table, const std::string &index) {
    return fmt::format("{}.{}", scope_on(scope, table).schema, Identifier(index));
}

// The statement that puts a parent there, without its partitions.
std::string parent_statement(const CarryScope &scope, const Node &node, Side side, Names names) {
    const std::string only = "ONLY " + quoted_table(scope, node.table);
    const std::string index =
        index_definition(scope, node.index, {node.name, only, false}, side, names);
    if (node.keyword.empty()) return index;
    // The same list of columns, as a constraint writes it.
    const std::string by = " USING btree ", nulls = " NULLS NOT DISTINCT";
    std::string columns = index.substr(index.find(by) + by.size());
    std::string keyword = node.keyword;
    if (const size_t at = columns.find(nulls); at != std::string::npos) {
        columns.erase(at, nulls.size());
        keyword += nulls;
    }
    // As a constraint writes it.
    const std::string tablespace = " TABLESPACE ";
    if (const size_t at = columns.find(tablespace); at != std::string::npos)
        columns.insert(at, " USING INDEX");
    return fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {} {}{}", only, Identifier(node.name),
                       keyword, columns, node.timing);
}

class PartitionedIndex final : public Carrier {
  public:
    const char *name() const override { return "partitioned_index"; }
    int rank() const override { return 55; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.partitioned || !scope.is_paired()) return found;
        for (const uint32_t top : top_indexes(scope.migration.relation)) {
            const auto tree = tree_of(top);
            // Left unclaimed, so refused by name.
            if (!std::all_of(tree.begin(), tree.end(),
                             [&](const Node &node) { return is_usable(scope, node); }))
                continue;
            if (!claim(dependents, tree.back())) continue;
            for (const auto &node : tree) {
                claim(dependents, node);
                found.push_back(carried_of(scope, node));
            }
        }
        return found;
    }

    std::vector<Step> prepare(const CarryScope &, const Carried &carried) const override {
        if (!is_leaf(carried)) return {};
        return {on_leaf(
            carried, create_index_step(Phase::build, carried.shadow, carried.shadow_definition))};
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        if (!is_leaf(carried)) return {};
        return {on_leaf(carried,
                        drop_index_step(scope_of(scope, carried), Phase::build, carried.shadow))};
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        if (!is_leaf(carried) || carried.keep_old) return {};
        // As at first: what is deferrable becomes unique under the lock.
        return {on_leaf(
            carried, create_index_step(Phase::soak, old_name(scope, carried),
                                       is_deferrable(carried) ? without_unique(carried.definition)
                                                              : carried.definition))};
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        if (!is_leaf(carried) || carried.keep_old || is_deferrable(carried) ||
            !makes_unique_index(carried.definition))
            return std::nullopt;
        return Proof{carried.related, old_name(scope, carried), true};
    }

    std::vector<Step> clean_up(const CarryScope &scope, const Carried &carried) const override {
        if (!is_leaf(carried) || !carried.keep_old) return {};
        return {on_leaf(carried, drop_index_step(scope_of(scope, carried), Phase::done,
                                                 old_name(scope, carried)))};
    }

    uint32_t partition_with(const Carried &carried) const override { return carried.related; }
    // An index of the new side reads columns that have the application's names: what it is over the
    // old ones is found as at first. A whole is put on from its parts, which stand before it.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.partitioned || !scope.is_paired()) return own;
        const std::string swap = swap_transaction(scope.migration);
        std::vector<Carried> present;
        for (const uint32_t top : top_indexes(scope.migration.relation)) {
            const auto tree = tree_of(top);
            if (same_named(own, tree.back().name, tree.back().table) == nullptr &&
                !has_come(scope, tree))
                continue;
            for (const auto &node : tree) present.push_back(present_of(scope, swap, own, node));
        }
        return present;
    }

    // The table's own comes first, its leaves last.
    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        const uint32_t index = index_named(carried, carried.object);
        detach_parts(index);
        const uint32_t constraint = constraint_on(index);
        const bool keep = is_leaf(carried) && (side == Side::new_side || carried.keep_old);
        const std::string table = quoted_table(scope, carried.related);
        if (constraint != 0) {
            if (keep) check(zdm_constraint_release_index(constraint));
            query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", table,
                              Identifier(carried.object)));
        } else if (!keep)
            query(
                fmt::format("DROP INDEX {}", quoted_index(scope, carried.related, carried.object)));
        if (!keep) return;
        const std::string kept = side_name(scope, carried, side);
        rename(scope, carried, carried.object, kept);
        if (side == Side::old_side || is_deferrable(carried))
            set_unique(scope_of(scope, carried), carried, kept, false);
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (!is_leaf(carried)) {
            query(side == Side::new_side ? carried.shadow_definition : carried.definition);
            attach_parts(scope, carried, {name()});
            return;
        }
        const std::string from = side_name(scope, carried, side);
        if (side == Side::old_side || is_deferrable(carried))
            set_unique(scope_of(scope, carried), carried, from, true);
        if (carried.timing.empty()) {
            rename(scope, carried, from, carried.object);
            return;
        }
        const size_t keyword = carried.timing.find(deferrable);
        query(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}{}",
                          quoted_table(scope, carried.related), Identifier(carried.object),
                          carried.timing.substr(0, keyword), Identifier(from),
                          is_deferrable(carried) ? carried.timing.substr(keyword) : ""));
    }

  private:
    // Its old side, of one that has come in soak, is not there yet: reinstate builds it.
    static Carried described(const CarryScope &scope, const Node &node, Side old_side) {
        const Side new_side = other_side(old_side);
        const int64_t id = scope.migration.id;
        const std::string shadow = new_object_name(id, node.name);
        Carried carried{"partitioned_index",
                        node.name,
                        shadow,
                        "",
                        "",
                        false,
                        node.table,
                        columns_of(pg_class_id, node.index),
                        node.parent};
        carried.timing = timing_of(node);
        if (node.leaf) {
            const std::string table = quoted_table(scope, node.table);
            carried.definition =
                index_definition(scope, node.index, {old_object_name(id, node.name), table, true},
                                 old_side, Names::soak);
            carried.shadow_definition =
                index_definition(scope, node.index, {shadow, table, true}, new_side, Names::before);
            if (!node.timing.empty())
                carried.shadow_definition = without_unique(carried.shadow_definition);
        } else {
            carried.definition = parent_statement(scope, node, old_side, Names::before);
            carried.shadow_definition = parent_statement(scope, node, new_side, Names::soak);
        }
        return carried;
    }

    static Carried carried_of(const CarryScope &scope, const Node &node) {
        Carried carried = described(scope, node, Side::old_side);
        carried.keep_old = !node.leaf || can_stay_in_soak(scope, node.index);
        return carried;
    }

    static bool has_come(const CarryScope &scope, const std::vector<Node> &tree) {
        const Node &top = tree.back();
        if (top.constraint != 0 && top.keyword.empty()) return false;  // exclusion.cpp has it
        const std::string columns = top.constraint != 0
                                        ? columns_of(pg_constraint_id, top.constraint)
                                        : columns_of(pg_class_id, top.index);
        if (object_of_migration(top.name) || !reads_present_columns(scope, top.table, columns))
            return false;
        for (const auto &node : tree)
            if (!is_usable(scope, node)) refuse_replaced(scope, node.table, node.name);
        return true;
    }

    // As it is recorded, but where it belongs by now: it may have been adopted since.
    static Carried present_of(const CarryScope &scope, const std::string &swap,
                              const std::vector<Carried> &own, const Node &node) {
        const Carried *recorded = same_named(own, node.name, node.table);
        Carried present;
        if (recorded != nullptr && node.made_by == swap)
            present = *recorded;
        else {
            Carried carried = described(turned_round(scope), node, Side::new_side);
            const bool is_same =
                recorded != nullptr && recorded->shadow_definition == carried.shadow_definition;
            present = recorded_or_new(scope, recorded, is_same, std::move(carried));
        }
        present.parent = node.parent;
        present.timing = timing_of(node);
        return present;
    }

    static std::string timing_of(const Node &node) {
        return node.leaf ? node.keyword + node.timing : "";
    }

    static bool is_leaf(const Carried &carried) {
        return carried.definition.find(" CONCURRENTLY ") != std::string::npos;
    }

    static constexpr const char *deferrable = " DEFERRABLE";

    static bool is_deferrable(const Carried &carried) {
        return carried.timing.find(deferrable) != std::string::npos;
    }

    static bool is_usable(const CarryScope &scope, const Node &node) {
        return node.usable && (node.timing.empty() || can_be_deferrable(scope.mapping));
    }

    static Step on_leaf(const Carried &carried, Step step) {
        step.relation = carried.related;
        return step;
    }

    static uint32_t index_named(const Carried &carried, const std::string &index) {
        const auto found = find_index(carried.related, index);
        if (!found)
            raise(sqlstate::undefined_object, {}, "zdm: there is no index {} any more",
                  Identifier(index));
        return found->oid;
    }

    // pg_constraint has no index on conindid.
    static uint32_t constraint_on(uint32_t index) {
        const Rows rows = catalog(
            R"(SELECT refobjid FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = $1::oid AND deptype = 'i'
                  AND refclassid = 'pg_constraint'::regclass)",
            {index});
        return rows.empty() ? 0 : rows.oid(0, 0);
    }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, carried.object);
    }
    static std::string side_name(const CarryScope &scope, const Carried &carried, Side side) {
        return side == Side::new_side ? carried.shadow : old_name(scope, carried);
    }
    static void rename(const CarryScope &scope, const Carried &carried, const std::string &from,
                       const std::string &to) {
        query(fmt::format("ALTER INDEX {} RENAME TO {}", quoted_index(scope, carried.related, from),
                          Identifier(to)));
    }
} const partitioned_index;

}  // namespace
}  // namespace zdm
