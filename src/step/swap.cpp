// swap: cutover and revert. In one short transaction under ACCESS EXCLUSIVE everything that hangs
// on one side is taken off, the columns exchange their names, and everything is put on the other;
// the sync trigger turns round with them. Catalog changes only. Whoever waits meanwhile sees either
// the table before or the table after.
#include <algorithm>

#include "carry/carrier.hpp"
#include "step/lock.hpp"
#include "step/sync_trigger.hpp"
#include "step/unfit.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

void rename_columns(const CarryScope &scope, bool to_soak) {
    // The side that gives up its name goes first.
    const auto &first = to_soak ? scope.mapping.old_columns : scope.mapping.new_columns;
    const auto &second = to_soak ? scope.mapping.new_columns : scope.mapping.old_columns;
    for (const auto *side : {&first, &second})
        for (const auto &column : *side)
            if (column.name != column.soak_name)
                query(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", scope.table,
                                  Identifier(column.current_name(!to_soak)),
                                  Identifier(column.current_name(to_soak))));
}

void exchange(CarryScope scope, bool to_soak) {
    const auto carried = load_carried(scope.migration.id);
    const Side from = to_soak ? Side::old_side : Side::new_side;
    const Side to = to_soak ? Side::new_side : Side::old_side;
    drop_sync_trigger(scope);
    for (auto one = carried.rbegin(); one != carried.rend(); ++one)
        Carrier::find_carrier(one->carrier).take_off(scope, *one, from);
    rename_columns(scope, to_soak);
    scope.soak_names = to_soak;
    for (const auto &one : carried) Carrier::find_carrier(one.carrier).put_on(scope, one, to);
    create_sync_trigger(scope);
}

// The revert does not take place: the old columns' conditions must not fail the application's
// writes.
void withdraw_proofs(const CarryScope &scope) {
    for (const auto &one : load_carried(scope.migration.id))
        for (const auto &part : Carrier::find_carrier(one.carrier).reinstate(scope, one))
            if (part.kind == "add_constraint")
                query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", scope.table,
                                  Identifier(part.object)));
}

class Swap final : public StepKind {
  public:
    const char *name() const override { return "swap"; }

    Outcome run(Turn &turn, const Step &step) const override {
        Outcome outcome;
        std::string before;
        in_turn(turn, [&] {
            before = fingerprint(carry_scope(turn.migration, turn.mapping));
            outcome = still_as_verified(turn);
        });
        if (!outcome.is_done()) return outcome;
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const CarryScope scope = carry_scope(turn.migration, turn.mapping);
            // Somebody changed the table between the look and the lock: look again.
            if (fingerprint(scope) != before || !sync_trigger_is_intact(turn.migration))
                return Outcome::more();
            exchange(scope, true);
            // Its way to soak is nothing; from now on its undo is the first half of revert.
            for (const auto &other : load_steps(turn.migration.id))
                if (other.kind == "reinstate") set_step_state(turn.migration, other, "done");
            set_phase(turn.migration, Phase::soak);
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        int64_t unfit = 0;
        Outcome outcome = under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                const CarryScope scope = carry_scope(turn.migration, turn.mapping);
                // Under the lock the count is final; the index makes it instant.
                unfit = count_unfit(scope);
                drop_unfit_index(scope);
                if (unfit > 0) {
                    withdraw_proofs(scope);
                    return Outcome::more();
                }
                exchange(scope, false);
                set_phase(turn.migration, Phase::ready);
                return Outcome::finished();
            },
            "pending");
        raise_unfit(turn.migration, unfit);
        return outcome;
    }

  private:
    // What verify has seen is still all there is.
    static Outcome still_as_verified(const Turn &turn) {
        const auto &migration = turn.migration;
        if (!sync_trigger_is_intact(migration))
            raise(
                sqlstate::not_ready, {},
                "{}: the sync trigger was disabled or dropped, so writes since may have parted old "
                "and new; SELECT zdm.abort({}) and start again",
                described(migration), Literal(migration.name));
        if (refresh_scans_would_add(migration))
            return Outcome::back_to(
                ordinal_of(migration, "backfill"),
                "a partition was attached since verify: its rows are copied first");
        const auto now = find_carried(carry_scope(migration, turn.mapping));
        if (now != load_carried(migration.id))
            return Outcome::back_to(
                ordinal_of(migration, "survey"),
                "indexes or constraints of the old column have changed since they "
                "were built for the new one");
        return Outcome::finished();
    }

    static bool refresh_scans_would_add(const Migration &migration) {
        return !query(R"(SELECT FROM pg_class c
                          WHERE c.relkind = 'r'
                            AND (c.oid = $1::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass) WHERE isleaf))
                            AND NOT EXISTS (SELECT FROM zdm.scan s WHERE s.migration = $2::bigint
                                               AND s.kind = 'verify' AND s.relation = c.oid))",
                      {migration.relation, migration.id})
                    .empty();
    }
} const swap;

}  // namespace
}  // namespace zdm
