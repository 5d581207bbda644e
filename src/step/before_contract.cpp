// before_contract: with the old columns goes what they alone have, so before the first of anything
// is dropped (and revert is refused) it is made sure that there is no such value. Where the sync
// trigger has been there all the time and has left no note this takes a look at the catalog.
#include "carry/plan.hpp"
#include "step/every_row.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class BeforeContract final : public StepKind {
  public:
    const char *name() const override { return before_contract_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        const Outcome known = know_every_row(turn, step, Side::old_side);
        if (known.is_done()) in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return known;
    }
} const before_contract;

}  // namespace
}  // namespace zdm
