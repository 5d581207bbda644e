// alter_type: the server changes the type without touching a row (varchar(20) to text), so there is
// no shadow column: one short statement under the lock policy.
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class AlterType final : public StepKind {
  public:
    const char *name() const override { return "alter_type"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            query(step.sql);
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const alter_type;

}  // namespace
}  // namespace zdm
