// analyze: the planner knows nothing about a new column, and would choose badly from the moment of
// cutover until autovacuum comes by. The whole table, because statistics of index expressions come
// only so.
#include "step/lock.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Analyze final : public StepKind {
  public:
    const char *name() const override { return "analyze"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::vector<uint32_t> tables;
        in_turn(turn, [&] { tables = with_partitions({turn.migration.relation}); });
        run_utility_on(turn, tables, ZDM_SHARE_UPDATE_EXCLUSIVE, step.sql);
        in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return Outcome::finished();
    }
} const analyze;

}  // namespace
}  // namespace zdm
