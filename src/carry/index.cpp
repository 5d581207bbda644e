// Indexes that back no constraint: plain, unique, partial, expression, INCLUDE. Built CONCURRENTLY
// in phase build, exchanged by name at cutover. The old one stays until contract, so that revert
// needs no build; but not where it might fail a write of the new side (can_stay_in_soak).
#include "carry/carrier.hpp"
#include "carry/index_definition.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Index final : public Carrier {
  public:
    const char *name() const override { return "index"; }
    int rank() const override { return 50; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        const Rows rows = indexes(scope);
        for (size_t row = 0; row < rows.size(); ++row) {
            const uint32_t index = rows.oid(row, 0);
            // partitioned_index.cpp has those.
            if (scope.partitioned) continue;
            if (!scope.is_paired() && rows.boolean(row, 3)) continue;
            if (!claim(dependents, pg_class_id, index)) continue;
            // An invalid one is of no use to anybody and goes with its column; so does one on
            // columns that have no single successor.
            if (!rows.boolean(row, 2) || !scope.is_paired()) continue;
            found.push_back(carried_of(scope, index, rows.text(row, 1), Side::old_side));
            found.back().keep_old = can_stay_in_soak(scope, index);
        }
        return found;
    }

    // The old side of one that has come is not there yet: reinstate builds it.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (scope.partitioned || !scope.is_paired()) return own;
        const std::string swap = swap_transaction(scope.migration);
        std::vector<Carried> present;
        const Rows rows = indexes(scope);
        for (size_t row = 0; row < rows.size(); ++row) {
            const std::string object = rows.text(row, 1);
            const Carried *recorded = same_named(own, object);
            const bool is_others = object_of_migration(object).has_value();
            if (recorded != nullptr && (rows.text(row, 4) == swap || is_others)) {
                present.push_back(*recorded);
                continue;
            }
            if (is_others || !rows.boolean(row, 2) ||
                !reads_present_columns(scope, scope.migration.relation,
                                       columns_of(pg_class_id, rows.oid(row, 0))))
                continue;
            Carried carried =
                carried_of(turned_round(scope), rows.oid(row, 0), object, Side::new_side);
            const bool is_same =
                recorded != nullptr && recorded->shadow_definition == carried.shadow_definition;
            present.push_back(recorded_or_new(scope, recorded, is_same, std::move(carried)));
        }
        return present;
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        if (carried.keep_old || !makes_unique_index(carried.definition)) return std::nullopt;
        return Proof{scope.migration.relation, old_name(scope, carried), true};
    }

    std::vector<Step> prepare(const CarryScope &, const Carried &carried) const override {
        return {create_index_step(Phase::build, carried.shadow, carried.shadow_definition)};
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        if (carried.keep_old) return {};
        return {create_index_step(Phase::soak, old_name(scope, carried), carried.definition)};
    }

    std::vector<Step> clean_up(const CarryScope &scope, const Carried &carried) const override {
        if (!carried.keep_old) return {};
        return {drop_index_step(scope, Phase::done, old_name(scope, carried))};
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        return {drop_index_step(scope, Phase::build, carried.shadow)};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (side == Side::new_side)
            rename_index(scope, carried.object, carried.shadow);
        else if (!carried.keep_old)
            query(fmt::format("DROP INDEX {}.{}", scope.schema, Identifier(carried.object)));
        else {
            set_unique(scope, carried, carried.object, false);
            rename_index(scope, carried.object, old_name(scope, carried));
        }
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        rename_index(scope, side == Side::new_side ? carried.shadow : old_name(scope, carried),
                     carried.object);
        if (side == Side::old_side) set_unique(scope, carried, carried.object, true);
    }

  private:
    // Those that back no constraint.
    static Rows indexes(const CarryScope &scope) {
        return query(
            R"(SELECT c.oid, c.relname, i.indisvalid, i.indisunique, c.xmin
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = $1::oid
                  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
                ORDER BY c.relname)",
            {scope.migration.relation});
    }

    static Carried carried_of(const CarryScope &scope, uint32_t index, const std::string &object,
                              Side old_side) {
        const std::string shadow = new_object_name(scope.migration.id, object);
        return {"index",
                object,
                shadow,
                index_definition(scope, index, old_object_name(scope.migration.id, object),
                                 old_side, Names::soak),
                index_definition(scope, index, shadow, other_side(old_side), Names::before),
                false,
                0,
                columns_of(pg_class_id, index)};
    }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, carried.object);
    }
} const index_carrier;

}  // namespace
}  // namespace zdm
