// survey: look again at what hangs on the old columns, just before their counterparts are built.
// The plan that was made at start may be days old: an index may have been added or dropped since.
// Where nothing changed, nothing happens; else the steps behind this one are planned anew.
#include <algorithm>

#include "carry/plan.hpp"
#include "step/half_built_index.hpp"
#include "step/step.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Survey final : public StepKind {
  public:
    const char *name() const override { return "survey"; }

    Outcome run(Turn &turn, const Step &step) const override {
        Outcome outcome;
        in_turn(turn, [&] {
            outcome = after_half_built_indexes(turn.migration);
            if (!outcome.is_done()) return;
            const auto before = carried_tables(turn.migration);
            auto now = before;
            bool changed = false;
            for (auto &table : now) {
                const auto carried = find_carried(table.scope);
                // Steps are there for all that was found then, also for what has gone since.
                changed = changed || carried != load_carried(table.scope.migration);
                table.carried = carried;
            }
            if (changed) {
                auto steps = withdraw_steps(before, now);
                for (auto &one : steps_after_survey(now)) steps.push_back(std::move(one));
                delete_steps_after(turn.migration, step.ordinal);
                insert_steps(turn.migration, steps);
                for (const auto &table : now) replace_carried(table.scope.migration, table.carried);
            }
            if (turn.migration.phase < Phase::build) set_phase(turn.migration, Phase::build);
            set_step_state(turn.migration, step, "done");
        });
        return outcome;
    }
} const survey;

}  // namespace
}  // namespace zdm
