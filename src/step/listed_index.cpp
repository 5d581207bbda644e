// keep_index_definition, drop_listed_index, drop_partitioned_index: dropping an index that is known
// by its OID, so that another one which has got its name since is safe.
//
// A drop that was interrupted leaves the index invalid, and it cannot be taken back. So an abort
// builds it again: that is the undoing of the first step, which keeps the text.
#include "state/index.hpp"
#include "state/names.hpp"
#include "step/concurrent_build.hpp"
#include "step/lock.hpp"
#include "step/pass.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class KeepIndexDefinition final : public StepKind {
  public:
    const char *name() const override { return "keep_index_definition"; }

    Outcome run(Turn &turn, const Step &step) const override {
        in_turn(turn, [&] {
            enter_phase(turn, Phase::build);
            set_step_state(turn.migration, step, "done");
        });
        return Outcome::finished();
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        std::optional<Index> index;
        std::optional<ConcurrentBuild> build;
        in_turn(turn, [&] {
            const uint32_t table = turn.migration.relation;
            index = find_index(step.related);
            if ((index && index->valid) || !quoted_relation(table)) return;
            OwnerScope as_owner(turn.migration.owner);
            const std::string name = shadow(turn, step);
            build = {table, name, index_text(step.sql, table, name, IndexBuild::concurrently),
                     fmt::format("Build index {} again", Identifier(step.object))};
        });
        if (!build) return Outcome::finished();
        const Outcome built = build_concurrently(turn, step, *build);
        if (!built.is_done()) return built;
        // Under the name that it has after all that time.
        in_turn(turn, [&] { index = find_index(step.related); });
        if (index) drop_index_concurrently(turn, *index);
        return give_name(turn, step);
    }

  private:
    static std::string shadow(const Turn &turn, const Step &step) {
        return new_object_name(turn.migration.id, step.object);
    }

    static Outcome give_name(Turn &turn, const Step &step) {
        std::optional<Index> built;
        in_turn(turn, [&] { built = find_index(turn.migration.relation, shadow(turn, step)); });
        if (!built) return Outcome::more();
        LockRequest request;
        request.relations = {built->oid};
        request.mode = ZDM_SHARE_UPDATE_EXCLUSIVE;
        request.final_state = "undone";
        return under_lock_on(turn, step, request, [&] {
            query(
                fmt::format("ALTER INDEX {} RENAME TO {}", built->quoted, Identifier(step.object)));
            return Outcome::finished();
        });
    }
} const keep_index_definition;

class DropListedIndex final : public StepKind {
  public:
    const char *name() const override { return "drop_listed_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Index> index;
        in_turn(turn, [&] {
            enter_phase(turn, Phase::build);
            index = find_index(step.related);
        });
        if (index) {
            note_slowness(turn, fmt::format("drops index {}, after all transactions that use its "
                                            "table have ended",
                                            index->quoted));
            drop_index_concurrently(turn, *index);
        }
        in_turn(turn, [&] {
            set_step_state(turn.migration, step, "done");
            set_phase(turn.migration, Phase::done);
        });
        return Outcome::finished();
    }
} const drop_listed_index;

class DropPartitionedIndex final : public StepKind {
  public:
    const char *name() const override { return "drop_partitioned_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const auto index = find_index(step.related);
            if (index) query(fmt::format("DROP INDEX {}", index->quoted));
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const drop_partitioned_index;

}  // namespace
}  // namespace zdm
