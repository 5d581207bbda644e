// Primary keys and unique constraints: the index is built CONCURRENTLY, the constraint is put on it
// at cutover without a scan. The old constraint is dropped but its index kept as a plain one until
// contract (zdm_constraint_release_index), so that revert needs no build; see index.cpp for when
// not.
#include "carry/carrier.hpp"
#include "carry/index_definition.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Key final : public Carrier {
  public:
    Key(const char *name, const char *keyword, const char *contype, int rank) noexcept
        : name_(name), keyword_(keyword), contype_(contype), rank_(rank) {}

    const char *name() const override { return name_; }
    int rank() const override { return rank_; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        // Left unclaimed, so refused by name.
        if (scope.partitioned || !scope.is_paired()) return found;
        const Rows rows = keys(scope);
        for (size_t row = 0; row < rows.size(); ++row) {
            if (!rows.text(row, 3).empty() && !can_be_deferrable(scope.mapping)) continue;
            if (!claim(dependents, pg_constraint_id, rows.oid(row, 0))) continue;
            found.push_back(carried_of(scope, rows, row, Side::old_side));
            found.back().keep_old = scope.mapping.reverse_is_injective();
        }
        return found;
    }

    // The old side of one that has come is not there yet: reinstate builds it.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (scope.partitioned || !scope.is_paired()) return own;
        const std::string swap = swap_transaction(scope.migration);
        std::vector<Carried> present;
        const Rows rows = keys(scope);
        for (size_t row = 0; row < rows.size(); ++row) {
            const std::string object = rows.text(row, 1);
            const Carried *recorded = same_named(own, object);
            if (recorded != nullptr && rows.text(row, 4) == swap) {
                present.push_back(*recorded);
                continue;
            }
            if (!reads_present_columns(scope, scope.migration.relation,
                                       columns_of(pg_constraint_id, rows.oid(row, 0))))
                continue;
            if (!rows.text(row, 3).empty() && !can_be_deferrable(scope.mapping))
                refuse_replaced(scope, scope.migration.relation, object);
            Carried carried = carried_of(turned_round(scope), rows, row, Side::new_side);
            const bool is_same = recorded != nullptr && recorded->timing == carried.timing &&
                                 recorded->shadow_definition == carried.shadow_definition;
            present.push_back(recorded_or_new(scope, recorded, is_same, std::move(carried)));
        }
        return present;
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        if (carried.keep_old || !carried.timing.empty()) return std::nullopt;
        return Proof{scope.migration.relation, old_name(scope, carried), true};
    }

    std::vector<Step> prepare(const CarryScope &, const Carried &carried) const override {
        return {create_index_step(Phase::build, carried.shadow, carried.shadow_definition)};
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        if (carried.keep_old) return {};
        return {create_index_step(
            Phase::soak, old_name(scope, carried),
            carried.timing.empty() ? carried.definition : without_unique(carried.definition))};
    }

    std::vector<Step> clean_up(const CarryScope &scope, const Carried &carried) const override {
        if (!carried.keep_old) return {};
        return {drop_index_step(scope, Phase::done, old_name(scope, carried))};
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        return {drop_index_step(scope, Phase::build, carried.shadow)};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        const bool keep = side == Side::new_side || carried.keep_old;
        const Rows rows =
            query("SELECT oid FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                  {scope.migration.relation, carried.object});
        if (keep) check(zdm_constraint_release_index(rows.oid(0, 0)));
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", scope.table,
                          Identifier(carried.object)));
        if (!keep) return;
        rename_index(scope, carried.object,
                     side == Side::new_side ? carried.shadow : old_name(scope, carried));
        if (side == Side::old_side) set_unique(scope, carried, old_name(scope, carried), false);
        if (side == Side::new_side && !carried.timing.empty())
            set_unique(scope, carried, carried.shadow, false);
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (side == Side::old_side) set_unique(scope, carried, old_name(scope, carried), true);
        if (side == Side::new_side && !carried.timing.empty())
            set_unique(scope, carried, carried.shadow, true);
        query(fmt::format(
            "ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}{}", scope.table,
            Identifier(carried.object), keyword_,
            Identifier(side == Side::new_side ? carried.shadow : old_name(scope, carried)),
            carried.timing));
    }

  private:
    Rows keys(const CarryScope &scope) const {
        return query("SELECT k.oid, k.conname, k.conindid, " ZDM_TIMING_OF("k") R"(, k.xmin
                 FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid
                WHERE k.conrelid = $1::oid AND k.contype = $2::"char" AND i.indisvalid
                  AND coalesce(to_jsonb(k) ->> 'conperiod', 'false') = 'false'
                ORDER BY k.conname)",
                     {scope.migration.relation, contype_});
    }

    Carried carried_of(const CarryScope &scope, const Rows &rows, size_t row, Side old_side) const {
        const std::string object = rows.text(row, 1), timing = rows.text(row, 3);
        const uint32_t index = rows.oid(row, 2);
        const std::string shadow = new_object_name(scope.migration.id, object);
        const std::string counterpart =
            index_definition(scope, index, shadow, other_side(old_side), Names::before);
        return {name(),
                object,
                shadow,
                index_definition(scope, index, old_object_name(scope.migration.id, object),
                                 old_side, Names::soak),
                timing.empty() ? counterpart : without_unique(counterpart),
                false,
                0,
                columns_of(pg_constraint_id, rows.oid(row, 0)),
                "",
                timing};
    }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, carried.object);
    }

    const char *name_;
    const char *keyword_;
    const char *contype_;
    int rank_;
};

const Key primary_key("primary_key", "PRIMARY KEY", "p", 60);
const Key unique_constraint("unique_constraint", "UNIQUE", "u", 61);

}  // namespace
}  // namespace zdm
