// Exclusion constraints. The server has no CONCURRENTLY for them and no NOT VALID, but both can be
// put together: the index is built CONCURRENTLY as a plain one, becomes the constraint by catalog
// changes, and counts for every write from then on; what was there before is compared by a scan.
//
// At a rename the new column always holds what the old one does, so the new index becomes the
// constraint at cutover, and nothing is left to compare. Else it does just before, when a cutover
// is called for, under its counterpart's name; in phase build rows are compared for the first time,
// so that whoever waits for ready knows. The old index stays until contract as a plain one, where
// it can fail no write. A partition may have one for itself.
#include "carry/exclusion.hpp"

#include "carry/carrier.hpp"
#include "carry/index_definition.hpp"
#include "state/names.hpp"

#include <algorithm>
#include <cctype>

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

struct Constraint {
    uint32_t oid = 0;
    std::string name;
    uint32_t index = 0;
    std::string timing;  // as Carried::timing
    bool plain = false;  // over columns alone
    uint32_t relation = 0;
    std::string parent;  // as Carried::parent
    uint32_t top = 0;    // what a partition has it from, or itself
    uint32_t top_index = 0;
    std::string made_by;  // xmin
};

// Of the table and of single partitions, or of leaves that have them from above; not those of
// partitioned tables, which have no rows (partitioned_exclusion.cpp).
std::vector<Constraint> constraints(const CarryScope &scope) {
    const Rows rows = query("SELECT k.oid, k.conname, k.conindid, " ZDM_EXCLUSION_TIMING_OF(
                                "k") R"(, i.indexprs IS NULL AND i.indpred IS NULL, k.conrelid,
                  (SELECT x.indrelid || '.' || p.relname FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
                     JOIN pg_index x ON x.indexrelid = p.oid WHERE h.inhrelid = k.conindid),
                  coalesce(tk.oid, k.oid), top.index, k.xmin
             FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid
             JOIN pg_class c ON c.oid = k.conindid
            CROSS JOIN LATERAL (SELECT coalesce(pg_partition_root(c.oid), c.oid)::oid) AS top(index)
             LEFT JOIN pg_constraint tk ON tk.conindid = top.index AND tk.contype = 'x'
            WHERE k.conrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
              AND k.contype = 'x' AND i.indisvalid AND c.relkind = 'i'
            ORDER BY k.conrelid <> $1::oid, k.conname, k.conrelid)",
                            {scope.migration.relation});
    std::vector<Constraint> found;
    for (size_t row = 0; row < rows.size(); ++row)
        found.push_back({rows.oid(row, 0), rows.text(row, 1), rows.oid(row, 2), rows.text(row, 3),
                         rows.boolean(row, 4), rows.oid(row, 5), rows.text(row, 6),
                         rows.oid(row, 7), rows.oid(row, 8), rows.text(row, 9)});
    return found;
}

class Exclusion final : public Carrier {
  public:
    const char *name() const override { return "exclusion"; }
    int rank() const override { return 62; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        for (const auto &constraint : constraints(scope)) {
            // What its expressions and its predicate read is the index's.
            const bool by_key = claim(dependents, pg_constraint_id, constraint.top);
            if (!claim(dependents, pg_class_id, constraint.top_index) && !by_key) continue;
            if (is_proved(scope)) check_operators(scope, constraint.oid, constraint.name);
            Carried carried = carried_of(scope, constraint, Side::old_side);
            carried.keep_old = !is_proved(scope) || constraint.plain;
            found.push_back(std::move(carried));
        }
        return found;
    }

    // The old side of one that has come is not there yet: reinstate builds it.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        const CarryScope other_way = turned_round(scope);
        const std::string swap = swap_transaction(scope.migration);
        std::vector<Carried> present;
        for (const auto &constraint : constraints(scope)) {
            Carried carried = carried_of(other_way, constraint, Side::new_side);
            carried.keep_old = false;
            const Carried *recorded = same_named(own, carried.object, carried.related);
            const bool is_same =
                recorded != nullptr && (constraint.made_by == swap || !constraint.parent.empty() ||
                                        (recorded->shadow_definition == carried.shadow_definition &&
                                         recorded->timing == carried.timing));
            if (is_same) {
                present.push_back(*recorded);
                continue;
            }
            if (!reads_present_columns(scope, constraint.relation, carried.columns)) continue;
            if (recorded != nullptr || has_left_over(scope, constraint.relation, constraint.name))
                refuse_replaced(scope, constraint.relation, constraint.name);
            present.push_back(std::move(carried));
        }
        return present;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        auto steps =
            on(scope_of(scope, carried),
               {create_index_step(Phase::build, carried.shadow, carried.shadow_definition)});
        if (is_proved(scope))
            steps.push_back(compare(scope, Phase::build, carried, carried.shadow));
        return steps;
    }

    std::vector<Step> freshen(const CarryScope &scope, const Carried &carried) const override {
        if (!is_proved(scope)) return {};
        return {enforce(scope, carried, carried.shadow),
                compare(scope, Phase::soak, carried, carried.shadow)};
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        if (!is_proved(scope) && carried.keep_old) return {};
        const std::string name = old_name(scope, carried);
        auto steps = on(scope_of(scope, carried),
                        {create_index_step(Phase::soak, name, carried.definition)});
        if (!is_proved(scope)) return steps;
        steps.push_back(enforce(scope, carried, name));
        steps.push_back(compare(scope, Phase::soak, carried, name));
        return steps;
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        if (!is_proved(scope)) return std::nullopt;
        return Proof{relation_of(scope, carried), old_name(scope, carried)};
    }

    int64_t count_misfits(const CarryScope &scope, const Carried &carried,
                          Side side) const override {
        if (!is_proved(scope)) return 0;
        const bool stands =
            !query("SELECT FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                   {relation_of(scope, carried), side_name(scope, carried, side)})
                 .empty();
        return stands ? 0 : -1;
    }

    std::vector<Step> clean_up(const CarryScope &scope, const Carried &carried) const override {
        if (!carried.keep_old) return {};
        const CarryScope there = scope_of(scope, carried);
        return on(there, {drop_index_step(there, Phase::done, old_name(scope, carried))});
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        const CarryScope there = scope_of(scope, carried);
        std::vector<Step> steps;
        if (is_proved(scope))
            steps.push_back(drop_constraint_step(there, Phase::build, carried.shadow));
        steps.push_back(drop_index_step(there, Phase::build, carried.shadow));
        return on(there, steps);
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        const CarryScope there = scope_of(scope, carried);
        const bool keep = side == Side::new_side || carried.keep_old;
        const Rows rows =
            query("SELECT oid FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                  {there.migration.relation, carried.object});
        if (keep) check(zdm_constraint_release_index(rows.oid(0, 0)));
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", there.table,
                          Identifier(carried.object)));
        if (keep) rename_index(there, carried.object, side_name(scope, carried, side));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        const CarryScope there = scope_of(scope, carried);
        const std::string from = side_name(scope, carried, side);
        if (is_proved(scope)) {
            query(fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", there.table,
                              Identifier(from), Identifier(carried.object)));
            return;
        }
        rename_index(there, from, carried.object);
        make_exclusion(there, carried, carried.object);
    }

  private:
    static Carried carried_of(const CarryScope &scope, const Constraint &constraint,
                              Side old_side) {
        const Side new_side = other_side(old_side);
        const std::string shadow = new_object_name(scope.migration.id, constraint.name);
        const std::string old = old_object_name(scope.migration.id, constraint.name);
        const std::string table = scope_on(scope, constraint.relation).table;
        return {
            "exclusion",
            constraint.name,
            shadow,
            index_definition(scope, constraint.index, {old, table, true}, old_side, Names::soak),
            index_definition(scope, constraint.index, {shadow, table, true}, new_side,
                             Names::before),
            true,
            partition_of(scope, constraint.relation),
            columns_of(pg_constraint_id, constraint.oid) + " " +
                columns_of(pg_class_id, constraint.index),
            constraint.parent,
            constraint.timing};
    }

    static bool is_proved(const CarryScope &scope) { return !scope.mapping.reverse_is_identity(); }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, carried.object);
    }
    static std::string side_name(const CarryScope &scope, const Carried &carried, Side side) {
        return side == Side::new_side ? carried.shadow : old_name(scope, carried);
    }

    static Step enforce(const CarryScope &scope, const Carried &carried, const std::string &name) {
        Step step{0,
                  Phase::soak,
                  enforce_exclusion_step,
                  name,
                  fmt::format("Let exclusion constraint {} of {} count for new writes",
                              Identifier(name), scope_of(scope, carried).table),
                  "",
                  "ACCESS EXCLUSIVE"};
        step.relation = relation_of(scope, carried);
        return step;
    }

    static Step compare(const CarryScope &scope, Phase phase, const Carried &carried,
                        const std::string &name) {
        Step step{0,  phase, validate_exclusion_step, name, "Look for rows that exclude each other",
                  "", ""};
        step.relation = relation_of(scope, carried);
        return step;
    }

    // Where a column has another type, the operator of the same name must do for it: told at start.
    static void check_operators(const CarryScope &scope, uint32_t constraint,
                                const std::string &name) {
        const Rows keys = query(
            R"(SELECT a.attname, k.conexclop[n], c.relam, k.conexclop[n]::regoperator
                 FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid JOIN pg_class c ON c.oid = k.conindid
                CROSS JOIN generate_subscripts(k.conexclop, 1) AS n
                 JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = i.indkey[n - 1] AND a.attnum > 0
                 JOIN pg_opclass o ON o.oid = i.indclass[n - 1] AND o.opcdefault
                WHERE k.oid = $1::oid)",
            {constraint});
        for (size_t row = 0; row < keys.size(); ++row) {
            const auto pair = pair_at(scope, keys.text(row, 0));
            if (!pair) continue;
            ZdmType type{};
            bool fits = false;
            check(
                zdm_type_parse(column_at(scope, Side::new_side, *pair).type.c_str(), true, &type));
            check(zdm_exclusion_operator_fits(keys.oid(row, 1), type.oid, keys.oid(row, 2), &fits));
            if (!fits)
                raise(sqlstate::unsupported, {},
                      "zdm: {}: exclusion constraint {} on {} has no operator for that type in the "
                      "place of {}; drop it first and add another one after cutover",
                      described(scope), Identifier(name), scope.table, keys.text(row, 3));
        }
    }
} const exclusion_carrier;

}  // namespace

std::vector<uint32_t> exclusion_operators(const Carried &carried) {
    std::vector<uint32_t> operators;
    for (const auto &word : split(carried.timing, ' ')) {
        if (word.empty() || !std::isdigit(static_cast<unsigned char>(word[0]))) break;
        operators.push_back(static_cast<uint32_t>(std::stoul(word)));
    }
    return operators;
}

void make_exclusion(const CarryScope &scope, const Carried &carried, const std::string &index) {
    const Rows rows = query(
        R"(SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = $1::oid AND c.relname = $2 AND (i.indisvalid OR c.relkind = 'I'))",
        {scope.migration.relation, index});
    if (rows.empty())
        raise(sqlstate::undefined_object, {}, "{}: there is no index {} any more",
              described(scope.migration), Identifier(index));
    const std::vector<uint32_t> operators = exclusion_operators(carried);
    const auto has = [&](const char *words) {
        return carried.timing.find(words) != std::string::npos;
    };
    check(zdm_index_exclude(rows.oid(0, 0), static_cast<int>(operators.size()), operators.data(),
                            has(" DEFERRABLE"), has(" INITIALLY DEFERRED")));
}

}  // namespace zdm
