// split_expand: the part and the triggers between it and the source, in one transaction. From its
// commit on every row that anybody writes has its counterpart. CREATE TRIGGER's lock waits for
// writers that are in mid-transaction, so none is missed.
#include "core/user.hpp"
#include "state/index.hpp"
#include "step/lock.hpp"
#include "step/split.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class SplitExpand final : public StepKind {
  public:
    const char *name() const override { return "split_expand"; }

    // step.sql makes the table that step.object names, with all that must be there from the start.
    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_SHARE_ROW_EXCLUSIVE, [&] {
            query(step.sql);
            const Rows rows = query("SELECT to_regclass($1)::oid", {step.object});
            Migration seen = turn.migration;
            seen.relation = rows.oid(0, 0);
            seen.relation_name = step.object;
            insert_table(seen);
            create_mirror(load_split(turn.migration, turn.mapping), false);
            if (turn.migration.phase < Phase::expand) set_phase(turn.migration, Phase::expand);
            return Outcome::finished();
        });
    }

    // A part whose source somebody has dropped is the last to have those rows: it stays.
    Outcome undo(Turn &turn, const Step &step) const override {
        std::optional<std::string> source, part;
        LockRequest request;
        request.final_state = "undone";
        in_turn(turn, [&] {
            source = quoted_relation(turn.migration.relation);
            if (source) request.relations.push_back(turn.migration.relation);
            const auto seen = part_of(turn.migration);
            if (seen) part = quoted_relation(seen->relation);
            if (part) request.relations.push_back(seen->relation);
        });
        if (request.relations.empty()) return Outcome::finished();
        return under_lock_on(turn, step, request, [&] {
            drop_mirror(turn.migration);
            if (source && part) query(fmt::format("DROP TABLE {}", *part));
            return Outcome::finished();
        });
    }
} const split_expand;

}  // namespace
}  // namespace zdm
