// hide_column, drop_hidden_column: a column that is to go, under another name for as long as there
// is a way back. NOT NULL without a default would fail the inserts of an application that does not
// know the column any more: it is taken off, and proved again before the column comes back.
#include "carry/carrier.hpp"
#include "state/carried.hpp"
#include "state/names.hpp"
#include "step/lock.hpp"
#include "step/not_null_again.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// Kept with the migration: that NOT NULL was taken off.
constexpr const char *set_free = "not_null";

bool demands_value(const Migration &migration, const std::string &column) {
    return !query(R"(SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2
                        AND attnotnull AND NOT atthasdef AND attidentity = '')",
                  {migration.relation, column})
                .empty();
}

class HideColumn final : public StepKind {
  public:
    const char *name() const override { return "hide_column"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const CarryScope scope = carry_scope(turn.migration, turn.mapping);
            if (demands_value(turn.migration, step.object)) {
                query(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", scope.table,
                                  Identifier(step.object)));
                replace_carried(turn.migration,
                                {{set_free, step.object, "", "NOT NULL", "", true, 0}});
            } else
                replace_carried(turn.migration, {});
            query(step.sql);
            set_phase(turn.migration, Phase::soak);
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        bool prove = false;
        in_turn(turn, [&] { prove = !load_carried(turn.migration).empty(); });
        if (prove) {
            const Outcome proved =
                prove_not_null_again(turn, step, step.object, old_column_name(step.object));
            if (!proved.is_done()) return proved;
        }
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                const CarryScope scope = carry_scope(turn.migration, turn.mapping);
                query(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", scope.table,
                                  Identifier(old_column_name(step.object)),
                                  Identifier(step.object)));
                if (prove) {
                    query(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL", scope.table,
                                      Identifier(step.object)));
                    query(
                        fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", scope.table,
                                    Identifier(not_null_proof_name(turn.migration, step.object))));
                }
                set_phase(turn.migration, Phase::ready);
                return Outcome::finished();
            },
            "pending");
    }
} const hide_column;

class DropHiddenColumn final : public StepKind {
  public:
    const char *name() const override { return "drop_hidden_column"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                              carry_scope(turn.migration, turn.mapping).table,
                              Identifier(not_null_proof_name(turn.migration, step.object))));
            query(step.sql);
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const drop_hidden_column;

}  // namespace
}  // namespace zdm
