// create_index, drop_index: CONCURRENTLY, outside of any transaction.
//
// Both wait for old transactions, but behind SHARE UPDATE EXCLUSIVE, which no reader or writer
// queues for. An interrupted build leaves an invalid index (which may already refuse writes that
// break a unique one): it is dropped before the next attempt, and at once where the build failed
// (but not where it was given up for others, who have the table then).
#include "carry/index_definition.hpp"
#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "step/disk_room.hpp"
#include "step/pass.hpp"
#include "step/utility.hpp"
#include "step/violation.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

std::optional<Index> index_here(Turn &turn, const std::string &name) {
    std::optional<Index> index;
    in_turn(turn, [&] { index = find_index(turn.migration.relation, name); });
    return index;
}

std::optional<Index> half_built_here(Turn &turn, const std::string &name) {
    const auto index = index_here(turn, name);
    return index && !index->valid ? index : std::nullopt;
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
        if (const auto index = half_built_here(turn, step.object)) drop_half_built(turn, *index);
        if (!index_here(turn, step.object)) {
            const Outcome room = room_for_index(turn, step, turn.migration.relation, step.sql);
            if (!room.is_done()) return room;
            // It waits for every transaction that is older, and cannot say so while it does.
            note_slowness(turn,
                          fmt::format("builds index {}, after all older transactions have ended",
                                      Identifier(step.object)));
            try {
                run_utility_on(turn, {turn.migration.relation}, ZDM_SHARE_UPDATE_EXCLUSIVE,
                               step.sql);
            } catch (Error &error) {
                if (!may_clean_up_after(error)) throw;
                if (const auto index = half_built_here(turn, step.object))
                    drop_failed(turn, *index);
                if (error.sqlstate() == "23505" && makes_unique_index(step.sql))
                    raise_duplicates(turn, turn.migration.relation, step.sql);
                throw;
            }
            if (makes_unique_index(step.sql))
                in_turn(turn, [&] { resolve_discrepancies(turn.migration); });
        }
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
