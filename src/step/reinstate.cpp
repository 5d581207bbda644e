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
        bool proved = false;
        in_turn(turn, [&] {
            proved = has_proofs(turn.migration);
            if (!proved) set_step_state(turn.migration, step, "done");
        });
        if (!proved) return Outcome::finished();
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            withdraw_proofs(turn.migration);
            return Outcome::finished();
        });
    }

    // Where rows do not do, the condition must not go on failing the application's writes, which
    // know nothing of it.
    Outcome undo(Turn &turn, const Step &step) const override {
        return or_withdraw_proofs(turn, step, [&] { return prove(turn, step); });
    }

  private:
    static Outcome prove(Turn &turn, const Step &step) {
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
        std::vector<CarriedTable> changed;
        std::string before;
        bool proved = false;
        in_turn(turn, [&] {
            before = fingerprint(scopes_of(turn.migration));
            changed = changed_in_soak(turn.migration);
            proved = !changed.empty() && has_proofs(turn.migration);
            if (proved) return;
            record_carried(changed);
            parts = parts_of(turn.migration);
        });
        if (proved) return begin_anew(turn, step, changed, before);
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
            const Outcome outcome = StepKind::find(part.kind).run(at_table, part);
            if (!outcome.is_done()) return outcome;
        }
        return Outcome::finished();
    }

    // What has changed in soak since it was proved: what was recorded tells what is to come down.
    static Outcome begin_anew(Turn &turn, const Step &step,
                              const std::vector<CarriedTable> &changed, const std::string &before) {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            if (fingerprint(scopes_of(turn.migration)) != before) return Outcome::more();
            withdraw_proofs(turn.migration);
            record_carried(changed);
            return Outcome::more();
        });
    }

    static std::vector<Step> parts_of(const Migration &migration) {
        const auto tables = carried_tables(migration);
        for (const auto &table : tables) {
            OwnerScope as_owner(table.scope.migration.owner);
            raise_unfit(table.scope.migration, count_unfit(table.scope));
        }
        std::vector<Step> parts;
        for (const auto &table : tables)
            for (auto &part : unfit_index_steps(table.scope)) parts.push_back(std::move(part));
        for (auto &part : reinstate_steps(tables)) parts.push_back(std::move(part));
        return parts;
    }
} const reinstate;

}  // namespace
}  // namespace zdm
