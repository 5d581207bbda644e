// survey: look again at what hangs on the old columns, just before their counterparts are built.
// The plan that was made at start may be days old: an index may have been added or dropped since.
// Where nothing changed, nothing happens; else the steps behind this one are planned anew.
#include <algorithm>

#include "carry/plan.hpp"
#include "step/step.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Survey final : public StepKind {
  public:
    const char *name() const override { return "survey"; }

    Outcome run(Turn &turn, const Step &step) const override {
        in_turn(turn, [&] {
            std::vector<CarriedTable> tables;
            std::vector<Step> steps;
            bool changed = false;
            for (auto &scope : scopes_of(turn.migration)) {
                const auto before = load_carried(scope.migration);
                const auto now = find_carried(scope);
                if (now != before) {
                    changed = true;
                    for (auto &one : withdraw_steps(scope, before, now))
                        steps.push_back(std::move(one));
                    replace_carried(scope.migration, now);
                }
                tables.push_back({std::move(scope), now});
            }
            if (changed) {
                for (auto &one : steps_after_survey(tables)) steps.push_back(std::move(one));
                delete_steps_after(turn.migration, step.ordinal);
                insert_steps(turn.migration, steps);
            }
            if (turn.migration.phase < Phase::build) set_phase(turn.migration, Phase::build);
            set_step_state(turn.migration, step, "done");
        });
        return Outcome::finished();
    }
} const survey;

}  // namespace
}  // namespace zdm
