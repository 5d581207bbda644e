// reinstate: the online half of revert. Since cutover the old columns have had no NOT NULL, no
// CHECK and maybe no unique index (nothing old may fail a write). Before they take over again
// everything written since must fit them: their constraints are proved online, their indexes built,
// and rows that they cannot hold are counted. On the way to soak there is nothing to do.
#include "carry/plan.hpp"
#include "step/every_row.hpp"
#include "step/lock.hpp"
#include "step/present_name.hpp"
#include "step/proof.hpp"
#include "step/unfit.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Reinstate final : public StepKind {
  public:
    const char *name() const override { return "reinstate"; }

    // After a revert that did not take place: its proofs would fail the application's writes.
    Outcome run(Turn &turn, const Step &step) const override {
        std::vector<Step> proofs;
        in_turn(turn, [&] {
            proofs = standing_proofs(turn.migration);
            if (proofs.empty()) set_step_state(turn.migration, step, "done");
        });
        if (proofs.empty()) return Outcome::finished();
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            for (const auto &proof : proofs)
                withdraw_proof(carry_scope(on_table(turn.migration, proof.relation), {}), proof);
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        std::vector<Step> parts;
        std::optional<LaterCutover> later;
        in_turn(turn, [&] { later = cut_over_later(turn.migration); });
        if (later)
            return Outcome::wait(fmt::format("waits for migration \"{}\", which was cut over later "
                                             "and shares {} with it, to be reverted first",
                                             later->name, Identifier(later->object)),
                                 retry_pause_ms(step.attempts));
        const Outcome known = know_every_row(turn, step, Side::new_side);
        if (!known.is_done()) return known;
        in_turn(turn, [&] { parts = parts_of(turn.migration); });
        // Each part finds out whether it is done already, so a crash repeats none of the work.
        for (auto &part : parts) {
            part.ordinal = step.ordinal;
            part.attempts = step.attempts;
            Turn at_table = turn;
            in_turn(at_table, [&] {
                at_table.migration = on_table(turn.migration, part.relation);
                at_table.mapping = load_mapping(at_table.migration);
                part.sql = under_present_name(part, part.relation);
            });
            const Outcome outcome = prove(turn, step, at_table, part);
            if (!outcome.is_done()) return outcome;
        }
        return Outcome::finished();
    }

  private:
    // Where rows do not do, the condition must not go on failing the application's writes, which
    // know nothing of it.
    static Outcome prove(Turn &turn, const Step &step, Turn &at_table, const Step &part) {
        try {
            return StepKind::find(part.kind).run(at_table, part);
        } catch (Error &error) {
            if (error.sqlstate().substr(0, 2) != "23") throw;
            bool withdrawn = false;
            const Outcome outcome = withdraw_proofs(turn, step, withdrawn);
            if (!withdrawn) return outcome;
            throw;
        }
    }

    static Outcome withdraw_proofs(Turn &turn, const Step &step, bool &withdrawn) {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            for (const auto &proof : standing_proofs(turn.migration))
                withdraw_proof(carry_scope(on_table(turn.migration, proof.relation), {}), proof);
            withdrawn = true;
            return Outcome::more();
        });
    }

    static std::vector<Step> standing_proofs(const Migration &migration) {
        std::vector<Step> standing;
        const auto tables = carried_tables(migration);
        for (auto &part : carried_parts(tables))
            if (is_proof(part) && stands(part)) standing.push_back(std::move(part));
        return standing;
    }

    static std::vector<Step> carried_parts(const std::vector<CarriedTable> &tables) {
        std::vector<Step> parts;
        for (const auto &one : in_rank_order(tables))
            append(parts, *one.scope, one.carrier->reinstate(*one.scope, *one.carried));
        return parts;
    }

    static std::vector<Step> parts_of(const Migration &migration) {
        renew_in_soak(migration);
        const auto tables = carried_tables(migration);
        for (const auto &table : tables) {
            OwnerScope as_owner(table.scope.migration.owner);
            raise_unfit(table.scope.migration, count_unfit(table.scope));
        }
        std::vector<Step> parts;
        for (const auto &table : tables) append(parts, table.scope, unfit_index_steps(table.scope));
        for (auto &part : carried_parts(tables)) parts.push_back(std::move(part));
        return parts;
    }

    static void append(std::vector<Step> &parts, const CarryScope &scope, std::vector<Step> more) {
        for (auto &part : more) {
            if (part.relation == 0) part.relation = scope.migration.relation;
            parts.push_back(std::move(part));
        }
    }
} const reinstate;

}  // namespace
}  // namespace zdm
