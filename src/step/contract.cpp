// contract: the sync trigger and the old columns go, in one short transaction. After it nothing of
// zdm is left on the table, and nothing can be reverted.
#include "carry/generated.hpp"
#include "carry/plan.hpp"
#include "state/discrepancy.hpp"
#include "step/every_row.hpp"
#include "step/lock.hpp"
#include "step/sync_trigger.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Contract final : public StepKind {
  public:
    const char *name() const override { return contract_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        const Outcome known = know_every_row(turn, step, Side::old_side);
        if (!known.is_done()) return known;
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            // The last writers have come to an end, and may have written such a row.
            if (!sync_triggers_are_intact(turn.migration) ||
                has_doubtful_rows(turn.migration, Side::old_side))
                return Outcome::more();
            for (const auto &scope : scopes_of(turn.migration)) {
                drop_sync_trigger(scope);
                let_generated_read(scope, Side::new_side);
                for (const auto &column : scope.mapping.old_columns)
                    query(fmt::format("ALTER TABLE {} DROP COLUMN {}", scope.table,
                                      Identifier(column.soak_name)));
            }
            resolve_discrepancies(turn.migration);  // what the old side could not hold
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const contract;

}  // namespace
}  // namespace zdm
