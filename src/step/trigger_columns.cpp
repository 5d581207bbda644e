// widen_trigger, narrow_trigger: an UPDATE OF trigger fires for both names of a renamed column
// while both are there. Its lock is that of CREATE TRIGGER, which stops writers for a moment.
#include "carry/trigger_columns.hpp"
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class WidenTrigger final : public StepKind {
  public:
    const char *name() const override { return widen_trigger_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_SHARE_ROW_EXCLUSIVE, [&] {
            widen_trigger(carry_scope(turn.migration, turn.mapping), step.related, step.object);
            return Outcome::finished();
        });
    }

    // It would stand in the way of dropping the new column.
    Outcome undo(Turn &turn, const Step &step) const override {
        return under_lock(
            turn, step, ZDM_SHARE_ROW_EXCLUSIVE,
            [&] {
                narrow_trigger(carry_scope(turn.migration, turn.mapping), step.related, step.object,
                               Side::old_side);
                return Outcome::finished();
            },
            "undone");
    }
} const widen_trigger_kind;

class NarrowTrigger final : public StepKind {
  public:
    const char *name() const override { return narrow_trigger_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_SHARE_ROW_EXCLUSIVE, [&] {
            narrow_trigger(carry_scope(turn.migration, turn.mapping), step.related, step.object,
                           Side::new_side);
            return Outcome::finished();
        });
    }
} const narrow_trigger_kind;

}  // namespace
}  // namespace zdm
