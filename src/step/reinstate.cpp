// reinstate: the online half of revert. Since cutover the old columns have had no NOT NULL, no
// CHECK and maybe no unique index (nothing old may fail a write). Before they take over again
// everything written since must fit them: their constraints are proved online, their indexes built,
// and rows that they cannot hold are counted. On the way to soak there is nothing to do.
#include "carry/plan.hpp"
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
        in_turn(turn, [&] { parts = parts_of(turn.migration); });
        // Each part finds out whether it is done already, so a crash repeats none of the work.
        for (auto &part : parts) {
            part.ordinal = step.ordinal;
            part.attempts = step.attempts;
            Turn at_table = turn;
            in_turn(at_table, [&] {
                at_table.migration = on_table(turn.migration, part.relation);
                at_table.mapping = load_mapping(at_table.migration);
            });
            const Outcome outcome = StepKind::find(part.kind).run(at_table, part);
            if (!outcome.is_done()) return outcome;
        }
        return Outcome::finished();
    }

  private:
    static std::vector<Step> parts_of(const Migration &migration) {
        std::vector<CarriedTable> tables;
        for (auto &scope : scopes_of(migration)) {
            auto carried = load_carried(scope.migration);
            tables.push_back({std::move(scope), std::move(carried)});
        }
        std::vector<Step> parts;
        const auto append = [&](const CarryScope &scope, std::vector<Step> more) {
            for (auto &part : more) {
                if (part.relation == 0) part.relation = scope.migration.relation;
                parts.push_back(std::move(part));
            }
        };
        for (const auto &table : tables) {
            OwnerScope as_owner(table.scope.migration.owner);
            raise_unfit(table.scope.migration, count_unfit(table.scope));
        }
        for (const auto &table : tables) append(table.scope, unfit_index_steps(table.scope));
        for (const auto &one : in_rank_order(tables))
            append(*one.scope, one.carrier->reinstate(*one.scope, *one.carried));
        return parts;
    }
} const reinstate;

}  // namespace
}  // namespace zdm
