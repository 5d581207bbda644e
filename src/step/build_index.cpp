// build_index, name_index: an index that stays, built CONCURRENTLY under a name of zdm's own, and
// given its real name when it is valid. So an index of that name is never an unfinished one, and
// what an interrupted build leaves behind is known by its name as ours.
//
// The name is exchanged behind SHARE UPDATE EXCLUSIVE on the index, which nobody but maintenance
// queues for.
#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "step/concurrent_build.hpp"
#include "step/lock.hpp"
#include "step/partition.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class BuildIndex final : public StepKind {
  public:
    const char *name() const override { return "build_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<ConcurrentBuild> build;
        in_turn(turn, [&] {
            enter_phase(turn, Phase::build);
            if (!is_still_part(turn, step)) return;
            OwnerScope as_owner(turn.migration.owner);
            const uint32_t table = table_of(turn, step);
            build = {table, step.object,
                     index_text(step.sql, table, step.object, IndexBuild::concurrently),
                     step.description};
        });
        if (build) {
            const Outcome outcome = build_concurrently(turn, step, *build);
            if (!outcome.is_done()) return outcome;
        }
        in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return Outcome::finished();
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        std::optional<Index> index;
        in_turn(turn, [&] { index = find_index(table_of(turn, step), step.object); });
        if (index) drop_index_concurrently(turn, *index);
        in_turn(turn, [&] { resolve_discrepancies(turn.migration); });
        return Outcome::finished();
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
