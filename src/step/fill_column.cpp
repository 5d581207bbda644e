// add_plain_column, fill_trigger, settle_column: a column that is filled where a writer gives no
// value, from expand until it needs that no longer.
#include "carry/carrier.hpp"
#include "step/lock.hpp"
#include "step/sync_trigger.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

bool has_column(const Migration &migration, const std::string &column) {
    return !query(
                "SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND NOT "
                "attisdropped",
                {migration.relation, column})
                .empty();
}

bool is_gone(Turn &turn) {
    bool gone = false;
    in_turn(turn, [&] {
        gone = query("SELECT FROM pg_class WHERE oid = $1::oid", {turn.migration.relation}).empty();
    });
    return gone;
}

// Statements that were joined to one text, for the reader. A default is evaluated by the server
// once for all rows that are there.
void evaluate_each(const std::string &sql, const std::string &settings) {
    for (size_t from = 0; from < sql.size();) {
        const size_t to = std::min(sql.find("; ALTER TABLE ", from), sql.size());
        evaluate(sql.substr(from, to - from), settings);
        from = to == sql.size() ? to : to + 2;
    }
}

class AddPlainColumn final : public StepKind {
  public:
    const char *name() const override { return "add_plain_column"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            evaluate_each(step.sql, turn.migration.evaluation);
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const add_plain_column;

class FillTrigger final : public StepKind {
  public:
    const char *name() const override { return "fill_trigger"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            if (!step.sql.empty()) query(step.sql);
            create_sync_trigger(carry_scope(turn.migration, turn.mapping));
            set_phase(turn.migration, Phase::expand);
            return Outcome::finished();
        });
    }

    // The column goes too where this step added it.
    Outcome undo(Turn &turn, const Step &step) const override {
        if (!step.done() || is_gone(turn)) return Outcome::finished();
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                const CarryScope scope = carry_scope(turn.migration, turn.mapping);
                drop_sync_trigger(scope);
                if (!step.object.empty() && has_column(turn.migration, step.object))
                    query(fmt::format("ALTER TABLE {} DROP COLUMN {}", scope.table,
                                      Identifier(step.object)));
                return Outcome::finished();
            },
            "undone");
    }
} const fill_trigger;

class SettleColumn final : public StepKind {
  public:
    const char *name() const override { return "settle_column"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            drop_sync_trigger(carry_scope(turn.migration, turn.mapping));
            if (!step.sql.empty()) query(step.sql);
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const settle_column;

}  // namespace
}  // namespace zdm
