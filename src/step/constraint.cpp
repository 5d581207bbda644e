// add_constraint (NOT VALID), add_foreign_key (NOT VALID), validate_constraint, drop_constraint: a
// condition that holds for new writes from a short lock on, and for every row after a scan that
// blocks nobody.
#include "carry/carrier.hpp"
#include "step/lock.hpp"
#include "step/pass.hpp"
#include "step/sync_trigger.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

Rows constraint_of(const Turn &turn, const Step &step) {
    return query("SELECT convalidated FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                 {turn.migration.relation, step.object});
}

class AddConstraint final : public StepKind {
  public:
    const char *name() const override { return "add_constraint"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            // A partition that was detached keeps the new column, but nobody fills that there.
            if (!has_table(turn.migration, turn.migration.relation)) return Outcome::finished();
            if (!constraint_of(turn, step).empty()) return Outcome::finished();
            query(step.sql);
            go_with_sync_trigger(turn.migration, step.object);
            return Outcome::finished();
        });
    }
} const add_constraint;

class AddForeignKey final : public StepKind {
  public:
    const char *name() const override { return "add_foreign_key"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_SHARE_ROW_EXCLUSIVE, [&] {
            if (constraint_of(turn, step).empty()) query(step.sql);
            return Outcome::finished();
        });
    }

    // It stands in the way of dropping the column that it refers to.
    Outcome undo(Turn &turn, const Step &step) const override {
        bool exists = false;
        in_turn(turn, [&] { exists = !constraint_of(turn, step).empty(); });
        if (!exists) return Outcome::finished();
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                                  carry_scope(turn.migration, {}).table, Identifier(step.object)));
                return Outcome::finished();
            },
            "undone");
    }
} const add_foreign_key;

class ValidateConstraint final : public StepKind {
  public:
    const char *name() const override { return "validate_constraint"; }

    Outcome run(Turn &turn, const Step &step) const override {
        LockRequest request;
        request.mode = ZDM_SHARE_UPDATE_EXCLUSIVE;
        request.takes_long = true;
        note_every_row_read(turn, step.object);
        const Outcome outcome = under_lock_on(turn, step, request, [&] {
            const Rows rows = constraint_of(turn, step);
            if (rows.empty() && !has_table(turn.migration, turn.migration.relation))
                return Outcome::finished();
            if (rows.empty() || !rows.boolean(0, 0)) evaluate(step.sql, turn.migration.evaluation);
            return Outcome::finished();
        });
        if (outcome.is_done()) note_slowness(turn, "");
        return outcome;
    }
} const validate_constraint;

class DropConstraint final : public StepKind {
  public:
    const char *name() const override { return "drop_constraint"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            query(step.sql);
            return Outcome::finished();
        });
    }
} const drop_constraint;

}  // namespace
}  // namespace zdm
