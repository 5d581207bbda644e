// Exclusion constraints. The server has no CONCURRENTLY for them and no NOT VALID, but both can be
// put together: the index is built CONCURRENTLY as a plain one, becomes the constraint by catalog
// changes, and counts for every write from then on; what was there before is compared by a scan.
//
// At a rename the new column always holds what the old one does, so the new index becomes the
// constraint at cutover, and nothing is left to compare. Else it does just before, when a cutover
// is called for, under its counterpart's name; in phase build rows are compared for the first time,
// so that whoever waits for ready knows. The old index stays until contract as a plain one, where
// it can fail no write.
#include "carry/exclusion.hpp"

#include "carry/carrier.hpp"
#include "carry/index_definition.hpp"
#include "state/names.hpp"

#include <cctype>

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Exclusion final : public Carrier {
  public:
    const char *name() const override { return "exclusion"; }
    int rank() const override { return 62; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        // Left unclaimed, so refused by name.
        if (scope.partitioned || !scope.is_paired()) return found;
        // timing: the operators, and what stands behind the columns.
        const Rows rows = query(
            R"(SELECT k.oid, k.conname, k.conindid,
                      array_to_string(k.conexclop, ' ')
                      || CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END
                      || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END,
                      i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
                 FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid
                WHERE k.conrelid = $1::oid AND k.contype = 'x' AND i.indisvalid ORDER BY k.conname)",
            {scope.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row) {
            // What its expressions and its predicate read is the index's.
            const uint32_t constraint = rows.oid(row, 0), index = rows.oid(row, 2);
            const bool by_key = claim(dependents, pg_constraint_id, constraint);
            if (!claim(dependents, pg_class_id, index) && !by_key) continue;
            const std::string object = rows.text(row, 1);
            if (is_proved(scope)) check_operators(scope, constraint, object);
            const std::string shadow = new_object_name(scope.migration.id, object);
            found.push_back(
                {name(), object, shadow,
                 index_definition(scope, index, old_object_name(scope.migration.id, object),
                                  Side::old_side, Names::soak),
                 index_definition(scope, index, shadow, Side::new_side, Names::before),
                 !is_proved(scope) || !rows.boolean(row, 4), 0,
                 columns_of(pg_constraint_id, constraint) + " " + columns_of(pg_class_id, index),
                 "", rows.text(row, 3)});
        }
        return found;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        std::vector<Step> steps{
            create_index_step(Phase::build, carried.shadow, carried.shadow_definition)};
        if (is_proved(scope)) steps.push_back(compare(Phase::build, carried.shadow));
        return steps;
    }

    std::vector<Step> freshen(const CarryScope &scope, const Carried &carried) const override {
        if (!is_proved(scope)) return {};
        return {enforce(scope, carried.shadow), compare(Phase::soak, carried.shadow)};
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        if (!is_proved(scope)) return {};
        const std::string name = old_name(scope, carried);
        return {create_index_step(Phase::soak, name, carried.definition), enforce(scope, name),
                compare(Phase::soak, name)};
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        if (!is_proved(scope)) return std::nullopt;
        return Proof{scope.migration.relation, old_name(scope, carried)};
    }

    int64_t count_misfits(const CarryScope &scope, const Carried &carried,
                          Side side) const override {
        if (!is_proved(scope)) return 0;
        const bool stands =
            !query("SELECT FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                   {scope.migration.relation,
                    side == Side::new_side ? carried.shadow : old_name(scope, carried)})
                 .empty();
        return stands ? 0 : -1;
    }

    std::vector<Step> clean_up(const CarryScope &scope, const Carried &carried) const override {
        if (!carried.keep_old) return {};
        return {drop_index_step(scope, Phase::done, old_name(scope, carried))};
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        if (!is_proved(scope)) return {drop_index_step(scope, Phase::build, carried.shadow)};
        return {drop_constraint_step(scope, Phase::build, carried.shadow),
                drop_index_step(scope, Phase::build, carried.shadow)};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        const bool keep = side == Side::new_side || carried.keep_old;
        const Rows rows =
            query("SELECT oid FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                  {scope.migration.relation, carried.object});
        if (keep) check(zdm_constraint_release_index(rows.oid(0, 0)));
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", scope.table,
                          Identifier(carried.object)));
        if (keep)
            rename_index(scope, carried.object,
                         side == Side::new_side ? carried.shadow : old_name(scope, carried));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        const std::string from = side == Side::new_side ? carried.shadow : old_name(scope, carried);
        if (is_proved(scope)) {
            query(fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", scope.table,
                              Identifier(from), Identifier(carried.object)));
            return;
        }
        rename_index(scope, from, carried.object);
        make_exclusion(scope, carried, carried.object);
    }

  private:
    static bool is_proved(const CarryScope &scope) { return !scope.mapping.reverse_is_identity(); }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, carried.object);
    }

    static Step enforce(const CarryScope &scope, const std::string &name) {
        return {0,
                Phase::soak,
                enforce_exclusion_step,
                name,
                fmt::format("Let exclusion constraint {} of {} count for new writes",
                            Identifier(name), scope.table),
                "",
                "ACCESS EXCLUSIVE"};
    }

    static Step compare(Phase phase, const std::string &name) {
        return {0,  phase, validate_exclusion_step, name, "Look for rows that exclude each other",
                "", ""};
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
            WHERE i.indrelid = $1::oid AND c.relname = $2 AND i.indisvalid)",
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
