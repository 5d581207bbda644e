// reinstate: the online half of revert. Since cutover the old columns have had no NOT NULL, no
// CHECK and maybe no unique index (nothing old may fail a write). Before they take over again
// everything written since must fit them: their constraints are proved online, their indexes built,
// and rows that they cannot hold are counted. On the way to soak there is nothing to do.
#include "carry/carrier.hpp"
#include "step/step.hpp"
#include "step/unfit.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Reinstate final : public StepKind {
  public:
    const char *name() const override { return "reinstate"; }

    Outcome run(Turn &turn, const Step &step) const override {
        in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return Outcome::finished();
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        std::vector<Step> parts;
        in_turn(turn, [&] {
            const CarryScope scope = carry_scope(turn.migration, turn.mapping);
            {
                OwnerScope as_owner(turn.migration.owner);
                raise_unfit(turn.migration, count_unfit(scope));
            }
            parts = unfit_index_steps(scope);
            for (const auto &one : load_carried(turn.migration.id))
                for (auto &part : Carrier::find_carrier(one.carrier).reinstate(scope, one))
                    parts.push_back(std::move(part));
        });
        // Each part finds out whether it is done already, so a crash repeats none of the work.
        for (auto &part : parts) {
            part.ordinal = step.ordinal;
            part.attempts = step.attempts;
            const Outcome outcome = StepKind::find(part.kind).run(turn, part);
            if (!outcome.is_done()) return outcome;
        }
        return Outcome::finished();
    }
} const reinstate;

}  // namespace
}  // namespace zdm
