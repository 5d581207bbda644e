// create_index, drop_index: CONCURRENTLY, outside of any transaction.
#include "carry/index_definition.hpp"
#include "state/index.hpp"
#include "step/concurrent_build.hpp"
#include "step/pass.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

std::optional<Index> index_here(Turn &turn, const std::string &name) {
    std::optional<Index> index;
    in_turn(turn, [&] { index = find_index(turn.migration.relation, name); });
    return index;
}

Outcome finish(Turn &turn, const Step &step) {
    note_slowness(turn, "");
    in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
    return Outcome::finished();
}

class CreateIndex final : public StepKind {
  public:
    const char *name() const override { return "create_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        const Outcome built = build_concurrently(
            turn, step,
            {turn.migration.relation, step.object, step.sql, building_index(step.object)});
        if (!built.is_done()) return built;
        return finish(turn, step);
    }
} const create_index;

class DropIndex final : public StepKind {
  public:
    const char *name() const override { return "drop_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        // What is not on the table is gone: by now the name may be that of somebody else's.
        if (const auto index = index_here(turn, step.object)) drop_index_concurrently(turn, *index);
        return finish(turn, step);
    }
} const drop_index;

}  // namespace
}  // namespace zdm
