// create_statistics: an object of extended statistics, which ANALYZE then fills.
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class CreateStatistics final : public StepKind {
  public:
    const char *name() const override { return "create_statistics"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_SHARE_UPDATE_EXCLUSIVE, [&] {
            if (has_table(turn.migration, turn.migration.relation)) query(step.sql);
            return Outcome::finished();
        });
    }
} const create_statistics;

}  // namespace
}  // namespace zdm
