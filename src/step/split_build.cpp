// build_part_index, part_constraint, prove_part_constraint: what hangs on the columns is made again
// for the part. Nothing is to be undone: it goes with the part.
#include "core/user.hpp"
#include "state/index.hpp"
#include "step/concurrent_build.hpp"
#include "step/lock.hpp"
#include "step/pass.hpp"
#include "step/split.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class BuildPartIndex final : public StepKind {
  public:
    const char *name() const override { return "build_part_index"; }

    // step.sql is the source's index.
    Outcome run(Turn &turn, const Step &step) const override {
        ConcurrentBuild build;
        in_turn(turn, [&] {
            enter_phase(turn, Phase::build);
            const uint32_t part = load_split(turn.migration, turn.mapping).part.relation;
            OwnerScope as_owner(turn.migration.owner);
            build = {part, step.object,
                     index_text(step.sql, part, step.object, IndexBuild::concurrently),
                     step.description};
        });
        const Outcome built = build_concurrently(turn, step, build);
        if (!built.is_done()) return built;
        in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return Outcome::finished();
    }
} const build_part_index;

class PartConstraint final : public StepKind {
  public:
    const char *name() const override { return "part_constraint"; }

    // step.sql is what stands behind ALTER TABLE; step.related a table that a foreign key refers
    // to. step.object is empty for the key to the source itself, which may have another name now.
    Outcome run(Turn &turn, const Step &step) const override {
        std::string statement;
        LockRequest request;
        in_turn(turn, [&] {
            enter_phase(turn, step.phase == Phase::build ? Phase::build : turn.migration.phase);
            const Split split = load_split(turn.migration, turn.mapping);
            request.relations = {split.part.relation};
            if (step.related != 0) request.relations.push_back(step.related);
            request.mode = step.related != 0 ? ZDM_SHARE_ROW_EXCLUSIVE : ZDM_ACCESS_EXCLUSIVE;
            statement = fmt::format("ALTER TABLE {} {}", split.part_table,
                                    step.object.empty() ? link(split) : step.sql);
        });
        return under_lock_on(turn, step, request, [&] {
            query(statement);
            return Outcome::finished();
        });
    }

  private:
    static std::string link(const Split &split) {
        return fmt::format(
            "ADD FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE CASCADE ON DELETE CASCADE NOT VALID",
            split.keys(""), split.source_table, split.keys(""));
    }
} const part_constraint;

class ProvePartConstraint final : public StepKind {
  public:
    const char *name() const override { return "prove_part_constraint"; }

    // Every foreign key of the part that refers to step.related and is not valid yet; that one
    // among several is named does not matter: all of them are wanted valid.
    Outcome run(Turn &turn, const Step &step) const override {
        std::vector<std::string> statements;
        LockRequest request;
        in_turn(turn, [&] {
            const Split split = load_split(turn.migration, turn.mapping);
            request.relations = {split.part.relation};
            const Rows rows = query(
                R"(SELECT conname FROM pg_constraint WHERE conrelid = $1::oid AND confrelid = $2::oid AND contype = 'f'
                      AND NOT convalidated AND ($3 = '' OR conname = $3))",
                {split.part.relation, step.related, step.object});
            for (size_t row = 0; row < rows.size(); ++row)
                statements.push_back(fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}",
                                                 split.part_table, Identifier(rows.text(row, 0))));
        });
        note_slowness(turn, step.description);
        request.mode = ZDM_SHARE_UPDATE_EXCLUSIVE;
        request.takes_long = true;
        request.referenced = step.related;
        return under_lock_on(turn, step, request, [&] {
            for (const auto &statement : statements) query(statement);
            return Outcome::finished();
        });
    }
} const prove_part_constraint;

}  // namespace
}  // namespace zdm
