// build_index, name_index: an index that stays, built CONCURRENTLY under a name of zdm's own, and
// given its real name when it is valid. So an index of that name is never an unfinished one, and
// what an interrupted build leaves behind is known by its name as ours: it is dropped before the
// next attempt, and at once where the build failed (an invalid unique index may already refuse
// writes; one that was given up for others does so until they let go of the table).
//
// The name is exchanged behind SHARE UPDATE EXCLUSIVE on the index, which nobody but maintenance
// queues for.
#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "step/disk_room.hpp"
#include "step/lock.hpp"
#include "step/pass.hpp"
#include "step/partition.hpp"
#include "step/utility.hpp"
#include "step/violation.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class BuildIndex final : public StepKind {
  public:
    const char *name() const override { return "build_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Index> index;
        std::string create_sql;
        in_turn(turn, [&] {
            enter_phase(turn, Phase::build);
            if (!is_still_part(turn, step)) return;
            resolve_discrepancies(turn.migration);
            index = find_index(table_of(turn, step), step.object);
            OwnerScope as_owner(turn.migration.owner);
            create_sql =
                index_text(step.sql, table_of(turn, step), step.object, IndexBuild::concurrently);
        });
        if (index && !index->valid) drop_half_built(turn, *index);
        if (!create_sql.empty() && !(index && index->valid)) {
            const Outcome room = room_for_index(turn, step, table_of(turn, step), create_sql);
            if (!room.is_done()) return room;
            // It waits for every transaction that is older, and cannot say so while it does.
            note_slowness(
                turn, fmt::format("{}, after all older transactions have ended", step.description));
            build(turn, step, create_sql);
        }
        in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return Outcome::finished();
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        if (const auto index = ours(turn, step)) drop_index_concurrently(turn, *index);
        in_turn(turn, [&] { resolve_discrepancies(turn.migration); });
        return Outcome::finished();
    }

  private:
    static void build(Turn &turn, const Step &step, const std::string &create_sql) {
        try {
            run_utility_on(turn, {table_of(turn, step)}, ZDM_SHARE_UPDATE_EXCLUSIVE, create_sql);
        } catch (Error &error) {
            if (!may_clean_up_after(error)) throw;
            if (const auto index = ours(turn, step)) drop_failed(turn, *index);
            if (error.sqlstate() == "23505") raise_duplicates(turn, table_of(turn, step), step.sql);
            throw;
        }
    }

    static std::optional<Index> ours(Turn &turn, const Step &step) {
        std::optional<Index> index;
        in_turn(turn, [&] { index = find_index(table_of(turn, step), step.object); });
        return index;
    }
} const build_index;

class NameIndex final : public StepKind {
  public:
    const char *name() const override { return "name_index"; }

    // step.sql is the rename; "" where no name was given: then the server's choice of this moment.
    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Index> index;
        int build_ordinal = 0;
        in_turn(turn, [&] {
            index = find_index(turn.migration.relation, step.object);
            build_ordinal = ordinal_of(turn.migration, "build_index", step.object);
        });
        if (!index || !index->valid)
            return Outcome::back_to(build_ordinal, "the index was dropped by somebody");
        LockRequest request;
        request.relations = {index->oid};
        request.mode = ZDM_SHARE_UPDATE_EXCLUSIVE;
        return under_lock_on(turn, step, request, [&] {
            if (step.sql.empty()) {
                const char *chosen = nullptr;
                check(zdm_index_choose_name(index->oid, &chosen));
                query(
                    fmt::format("ALTER INDEX {} RENAME TO {}", index->quoted, Identifier(chosen)));
            } else {
                query(fmt::format("ALTER INDEX {}{}", index->quoted,
                                  step.sql.substr(step.sql.rfind(" RENAME TO "))));
            }
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const name_index;

}  // namespace
}  // namespace zdm
