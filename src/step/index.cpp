// create_index, drop_index: CONCURRENTLY, outside of any transaction.
//
// Both wait for old transactions, but behind SHARE UPDATE EXCLUSIVE, which no reader or writer
// queues for. An interrupted build leaves an invalid index (which may already refuse writes that
// break a unique one): it is dropped before the next attempt, and at once where the build failed.
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

void drop_half_built(Turn &turn, const std::string &name) {
    const auto index = index_here(turn, name);
    if (index && !index->valid) drop_index(turn, *index);
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
        drop_half_built(turn, step.object);
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
                // Shut down; or others have the table now.
                if (error.sqlstate() == "57P01" || error.sqlstate() == sqlstate::lock_not_available)
                    throw;
                drop_half_built(turn, step.object);
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
        // By the schema of now: IF EXISTS says nothing where the table has been moved. One that is
        // not this table's is a partition's, or gone.
        if (const auto index = index_here(turn, step.object))
            drop_index(turn, *index);
        else
            run_utility(step.sql);
        return finish(turn, step);
    }
} const drop_index;

}  // namespace
}  // namespace zdm
