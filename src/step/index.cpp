// create_index, drop_index: CONCURRENTLY, outside of any transaction.
//
// Both wait for old transactions, but behind SHARE UPDATE EXCLUSIVE, which no reader or writer
// queues for. An interrupted build leaves an invalid index (which may already refuse writes that
// break a unique one): it is dropped before the next attempt, and at once where the build failed.
#include "carry/carrier.hpp"
#include "step/disk_room.hpp"
#include "step/pass.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

enum class IndexState { absent, invalid, valid };

IndexState index_state(Turn &turn, const std::string &index, std::string &drop_sql) {
    IndexState state = IndexState::absent;
    in_turn(turn, [&] {
        const CarryScope scope = carry_scope(turn.migration, turn.mapping);
        drop_sql =
            fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", scope.schema, Identifier(index));
        const Rows rows = query(
            R"(SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = $1::oid AND c.relname = $2)",
            {turn.migration.relation, index});
        if (!rows.empty()) state = rows.boolean(0, 0) ? IndexState::valid : IndexState::invalid;
    });
    return state;
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
        std::string drop_sql;
        IndexState state = index_state(turn, step.object, drop_sql);
        if (state == IndexState::invalid) run_utility(drop_sql);
        if (state != IndexState::valid) {
            const Outcome room = room_for_index(turn, step, turn.migration.relation, step.sql);
            if (!room.is_done()) return room;
            // It waits for every transaction that is older, and cannot say so while it does.
            note_slowness(turn,
                          fmt::format("builds index {}, after all older transactions have ended",
                                      Identifier(step.object)));
            try {
                run_utility(step.sql);
            } catch (Error &error) {
                if (error.sqlstate() != "57P01") run_utility(drop_sql);
                throw;
            }
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
        std::string drop_sql;
        const bool here = index_state(turn, step.object, drop_sql) != IndexState::absent;
        run_utility(here ? drop_sql : step.sql);
        return finish(turn, step);
    }
} const drop_index;

}  // namespace
}  // namespace zdm
