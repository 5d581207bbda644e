// CHECK constraints: the same condition on the new column, NOT VALID first, validated online, under
// the old name from cutover on. The old column is set free; revert proves its condition again
// first. Those that a partition has for itself too.
#include "carry/carrier.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Check final : public Carrier {
  public:
    const char *name() const override { return "check"; }
    int rank() const override { return 40; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        for (const auto &constraint : constraints(scope))
            if (claim(dependents, pg_constraint_id, constraint.oid))
                found.push_back(carried_of(scope, constraint));
        return found;
    }

    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        const std::string swap = swap_transaction(scope.migration);
        std::vector<Carried> present;
        for (const auto &constraint : constraints(scope)) {
            const Carried carried = bare(scope, constraint);
            const Carried *recorded = same_named(own, carried.object, carried.related);
            // What another migration has built changes and goes with that one.
            const bool is_others = object_of_migration(constraint.name).has_value();
            if (recorded != nullptr && (is_others || is_as_put_on(scope, *recorded, constraint)))
                present.push_back(*recorded);
            else if (!is_others &&
                     reads_present_columns(scope, constraint.relation, carried.columns))
                present.push_back(followed(recorded, constraint.made_by == swap,
                                           [&] { return newcomer_of(scope, constraint); }));
        }
        return present;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        return steps(scope_of(scope, carried), Phase::build, carried.shadow,
                     carried.shadow_definition);
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        const CarryScope there = scope_of(scope, carried);
        return on(there, {drop_constraint_step(there, Phase::build, carried.shadow)});
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        // The stored condition speaks of the old column by its name before cutover.
        const CarryScope before = as_before(scope_of(scope, carried));
        const std::string condition =
            rebound(before, carried.definition, Side::old_side, Names::soak,
                    fmt::format("constraint {}", Identifier(carried.object)));
        return steps(before, Phase::soak, old_name(scope, carried),
                     fmt::format("CHECK ({}){}", condition, suffix_of(carried)));
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        return Proof{relation_of(scope, carried), old_name(scope, carried)};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (side == Side::old_side)
            query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", scope_of(scope, carried).table,
                              Identifier(carried.object)));
        else
            rename(scope_of(scope, carried), carried.object, carried.shadow);
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        rename(scope_of(scope, carried),
               side == Side::new_side ? carried.shadow : old_name(scope, carried), carried.object);
    }

  private:
    struct Constraint {
        uint32_t oid = 0;
        std::string name;
        std::string condition;
        std::string suffix;
        uint32_t relation = 0;
        std::string made_by;  // xmin
    };

    static std::vector<Constraint> constraints(const CarryScope &scope) {
        const Rows rows = query(
            R"(SELECT oid, conname, pg_get_expr(conbin, conrelid),
                      CASE WHEN connoinherit THEN ' NO INHERIT' ELSE '' END
                      || CASE WHEN to_jsonb(k) ->> 'conenforced' = 'false' THEN ' NOT ENFORCED'
                              WHEN NOT convalidated THEN ' NOT VALID' ELSE '' END,
                      conrelid, xmin
                 FROM pg_constraint k
                WHERE conrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"() AND contype = 'c'
                  AND (conrelid = $1::oid OR coninhcount = 0)
                ORDER BY conrelid <> $1::oid, conname, conrelid)",
            {scope.migration.relation});
        std::vector<Constraint> found;
        for (size_t row = 0; row < rows.size(); ++row)
            found.push_back({rows.oid(row, 0), rows.text(row, 1), rows.text(row, 2),
                             rows.text(row, 3), rows.oid(row, 4), rows.text(row, 5)});
        return found;
    }

    static Carried bare(const CarryScope &scope, const Constraint &constraint) {
        return {"check",
                constraint.name,
                new_object_name(scope.migration.id, own_name(constraint.name)),
                constraint.condition,
                "",
                true,
                partition_of(scope, constraint.relation),
                columns_of(pg_constraint_id, constraint.oid)};
    }

    static Carried carried_of(const CarryScope &scope, const Constraint &constraint) {
        Carried carried = bare(scope, constraint);
        carried.shadow_definition = whole(counterpart_of(scope, constraint), constraint);
        return carried;
    }

    static Carried newcomer_of(const CarryScope &scope, const Constraint &constraint) {
        Carried carried = bare(scope, constraint);
        carried.definition = counterpart_of(turned_round(scope), constraint);
        carried.shadow_definition = whole(carried.definition, constraint);
        return carried;
    }

    static bool is_as_put_on(const CarryScope &scope, const Carried &recorded,
                             const Constraint &constraint) {
        return suffix_of(recorded) == constraint.suffix &&
               gives_in_soak(scope, recorded.definition, constraint.condition,
                             object_of(constraint), {constraint.relation});
    }

    static std::string counterpart_of(const CarryScope &scope, const Constraint &constraint) {
        return rebound(scope, constraint.condition, Side::new_side, Names::before,
                       object_of(constraint), {constraint.relation});
    }

    static std::string object_of(const Constraint &constraint) {
        return fmt::format("constraint {}", Identifier(constraint.name));
    }

    static std::string whole(const std::string &condition, const Constraint &constraint) {
        return fmt::format("CHECK ({}){}", condition, constraint.suffix);
    }

    static std::string suffix_of(const Carried &carried) {
        return carried.shadow_definition.substr(carried.shadow_definition.rfind(')') + 1);
    }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, own_name(carried.object));
    }

    // What a proof of NOT NULL is named after (not_null.cpp) may be a constraint's name as well.
    static std::string own_name(const std::string &constraint) {
        const std::string proof = "_not_null", ours = "_check";
        std::string bare = constraint;
        while (ends_with(bare, ours)) bare.resize(bare.size() - ours.size());
        return ends_with(bare, proof) ? constraint + ours : constraint;
    }

    static void rename(const CarryScope &scope, const std::string &from, const std::string &to) {
        query(fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", scope.table,
                          Identifier(from), Identifier(to)));
    }

    static std::vector<Step> steps(const CarryScope &scope, Phase phase,
                                   const std::string &constraint, const std::string &definition) {
        const std::string not_valid = " NOT VALID";
        const bool stays_not_valid =
            ends_with(definition, not_valid) || ends_with(definition, " NOT ENFORCED");
        std::vector<Step> steps{
            {0, phase, "add_constraint", constraint,
             fmt::format("Check new writes: {}", definition),
             fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}{}", scope.table,
                         Identifier(constraint), definition, stays_not_valid ? "" : not_valid),
             "ACCESS EXCLUSIVE"}};
        if (!stays_not_valid)
            steps.push_back({0, phase, "validate_constraint", constraint, "Check every row",
                             fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", scope.table,
                                         Identifier(constraint)),
                             "SHARE UPDATE EXCLUSIVE"});
        return on(scope, steps);
    }
} const check_carrier;

}  // namespace
}  // namespace zdm
