// swap: cutover and revert. In one short transaction under ACCESS EXCLUSIVE everything that hangs
// on one side is taken off, the columns exchange their names, and everything is put on the other;
// the sync trigger turns round with them. Catalog changes only. Whoever waits meanwhile sees either
// the table before or the table after.
#include <algorithm>

#include "carry/attribute.hpp"
#include "carry/borrowed_names.hpp"
#include "carry/comment.hpp"
#include "carry/generated.hpp"
#include "carry/index_definition.hpp"
#include "carry/plan.hpp"
#include "carry/privilege.hpp"
#include "carry/security_label.hpp"
#include "carry/storage.hpp"
#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "state/names.hpp"
#include "state/scan.hpp"
#include "state/unsynced_write.hpp"
#include "step/every_row.hpp"
#include "step/half_built_index.hpp"
#include "step/lock.hpp"
#include "step/old_snapshot.hpp"
#include "step/proof.hpp"
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

// By texts that find their columns by name.
bool borrows_names(const CarriedOn &one, bool to_soak) {
    return one.carrier->is_remade() || (to_soak && one.carrier->names_old_columns());
}

void put_on_by_names(const std::vector<const CarryScope *> &scopes,
                     const std::vector<CarriedOn> &carried, bool to_soak) {
    if (std::none_of(carried.begin(), carried.end(),
                     [&](const CarriedOn &one) { return borrows_names(one, to_soak); }))
        return;
    const Side side = to_soak ? Side::new_side : Side::old_side;
    with_borrowed_names(scopes, side, [&] {
        for (const auto &one : carried)
            if (borrows_names(one, to_soak)) one.carrier->put_on(*one.scope, *one.carried, side);
    });
}

// A session that has run a trigger function in PL/pgSQL keeps its plans, and would raise an error
// at every write from now on ("type of parameter does not match that when preparing the plan"): the
// server lets a function go only where its row of pg_proc has changed.
void let_trigger_functions_be_planned_anew(const Migration &migration) {
    catalog(R"(UPDATE pg_catalog.pg_proc p SET proname = p.proname
                 FROM pg_catalog.pg_language l
                WHERE l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c', 'sql')
                  AND p.oid = ANY (ARRAY(
                      SELECT t.tgfoid
                        FROM zdm.migrated_table m
                       CROSS JOIN LATERAL unnest()" ZDM_TREE_OF("m.relation") R"() AS r(relation)
                        JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.relation
                       WHERE m.migration = $1::bigint AND NOT t.tgisinternal)))",
            {migration.id});
}

void exchange(std::vector<CarriedTable> tables, bool to_soak) {
    const auto carried = in_rank_order(tables);
    for (const auto &table : tables) drop_sync_trigger(table.scope);
    for (auto one = carried.rbegin(); one != carried.rend(); ++one)
        one->carrier->take_off(*one->scope, *one->carried,
                               to_soak ? Side::old_side : Side::new_side);
    for (auto &table : tables) {
        rename_columns(table.scope, to_soak);
        table.scope.soak_names = to_soak;
    }
    for (const auto &one : carried)
        if (!borrows_names(one, to_soak))
            one.carrier->put_on(*one.scope, *one.carried,
                                to_soak ? Side::new_side : Side::old_side);
    std::vector<const CarryScope *> scopes;
    for (const auto &table : tables) scopes.push_back(&table.scope);
    put_on_by_names(scopes, carried, to_soak);
    for (const auto &one : carried)
        one.carrier->settle(*one.scope, *one.carried, to_soak ? Side::new_side : Side::old_side);
    if (to_soak) {
        share_storage(scopes);
        share_attributes(scopes);
    }
    exchange_comments(scopes, to_soak ? Side::new_side : Side::old_side);
    share_privileges(scopes, to_soak ? Side::new_side : Side::old_side);
    share_security_labels(scopes, to_soak ? Side::new_side : Side::old_side);
    name_index_columns(scopes);
    for (const auto &table : tables) create_sync_trigger(table.scope);
    let_trigger_functions_be_planned_anew(tables.front().scope.migration);
}

// What has been kept for the old side of indexes that were dropped in soak.
void drop_left_over(const std::vector<CarriedTable> &tables) {
    for (const auto &table : tables) {
        for (const uint32_t heap : with_partitions({table.scope.migration.relation}))
            for (const auto &index : indexes_of(heap)) {
                const auto whose = object_of_migration(index.name);
                if (whose && !whose->is_new && whose->migration == table.scope.migration.id)
                    query(fmt::format("DROP INDEX {}", index.quoted));
            }
    }
}

// The revert does not take place. Next time it begins with proving the old side again.
void call_off_revert(const Migration &migration) {
    withdraw_proofs(migration);
    for (const auto &other : load_steps(migration.id))
        if (other.kind == "reinstate") set_step_state(migration, other, "done");
}

int64_t count_misfits(const std::vector<CarriedTable> &tables, Side side) {
    for (const auto &one : in_rank_order(tables))
        if (const int64_t count = one.carrier->count_misfits(*one.scope, *one.carried, side))
            return count;
    return 0;
}

std::string fingerprints(const Migration &migration) { return fingerprint(scopes_of(migration)); }

std::string any_unverified_heap(const Migration &migration) {
    for (const auto &seen : on_each_table(migration)) {
        std::string heap = unverified_heap(seen);
        if (!heap.empty()) return heap;
    }
    return "";
}

class Swap final : public StepKind {
  public:
    const char *name() const override { return "swap"; }

    Outcome run(Turn &turn, const Step &step) const override {
        Outcome outcome;
        std::string before;
        in_turn(turn, [&] {
            before = fingerprints(turn.migration);
            outcome = after_half_built_indexes(turn.migration);
            if (outcome.is_done()) outcome = still_as_verified(turn);
            if (outcome.is_done()) outcome = after_old_snapshots(turn.migration, step);
        });
        if (!outcome.is_done()) return outcome;
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            // Somebody changed a table between the look and the lock: look again.
            if (fingerprints(turn.migration) != before ||
                !sync_triggers_are_intact(turn.migration) ||
                !any_unverified_heap(turn.migration).empty() || has_unsynced_writes(turn.migration))
                return Outcome::more();
            const auto tables = carried_tables(turn.migration);
            if (const int64_t misfits = count_misfits(tables, Side::new_side))
                return misfits > 0
                           ? Outcome::back_to(
                                 ordinal_of(turn.migration, guard_generated_step),
                                 "rows were written since that would not do after cutover")
                           : Outcome::back_to(ordinal_of(turn.migration, "survey"),
                                              "what was built to prove the new side is gone");
            exchange(tables, true);
            note_sync_triggers(turn.migration);
            note_swap(turn.migration);
            // Its way to soak is nothing; from now on its undo is the first half of revert.
            for (const auto &other : load_steps(turn.migration.id))
                if (other.kind == "reinstate") set_step_state(turn.migration, other, "done");
            set_phase(turn.migration, Phase::soak);
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        return or_withdraw_proofs(turn, step, [&] { return swap_back(turn, step); });
    }

  private:
    static Outcome swap_back(Turn &turn, const Step &step) {
        Migration unfit_on;
        int64_t unfit = 0;
        std::string before;
        std::vector<CarriedTable> changed;
        in_turn(turn, [&] {
            before = fingerprints(turn.migration);
            changed = changed_in_soak(turn.migration);
            if (changed.empty()) find_remade_again(turn.migration);
        });
        Outcome outcome = under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                if (fingerprints(turn.migration) != before) return Outcome::more();
                const auto tables = carried_tables(turn.migration);
                // Whoever has parted old and new meanwhile: reinstate looks at those rows again.
                // Nor has it proved what has come since.
                if (!changed.empty() || !sync_triggers_are_intact(turn.migration) ||
                    has_doubtful_rows(turn.migration, Side::new_side)) {
                    call_off_revert(turn.migration);
                    record_carried(changed);
                    return Outcome::more();
                }
                for (const auto &table : tables) {
                    // Under the lock the count is final; the index makes it instant.
                    const int64_t count = count_unfit(table.scope);
                    drop_unfit_indexes(table.scope);
                    if (count == 0 || unfit > 0) continue;
                    unfit = count;
                    unfit_on = table.scope.migration;
                }
                if (unfit > 0 || count_misfits(tables, Side::old_side) != 0) {
                    call_off_revert(turn.migration);
                    return Outcome::more();
                }
                exchange(tables, false);
                drop_left_over(tables);
                note_sync_triggers(turn.migration);
                // What is brought up to date just before a cutover is so before the next one.
                for (const auto &other : load_steps(turn.migration.id))
                    if (other.phase == Phase::soak &&
                        (other.kind == "refresh" || other.kind == guard_generated_step ||
                         other.kind == "add_foreign_key" || other.kind == "validate_constraint"))
                        set_step_state(turn.migration, other, "pending");
                // What zdm.verify has found in soak may be mended by now, or not. And the new side
                // may lack what the old one has.
                const bool differs = !open_discrepancies(turn.migration).empty() ||
                                     has_unsynced_writes(turn.migration) ||
                                     !any_unverified_heap(turn.migration).empty();
                if (differs) reset_steps_from(turn.migration, ordinal_of(turn.migration, "verify"));
                set_phase(turn.migration, differs ? Phase::verify : Phase::ready);
                return Outcome::finished();
            },
            "pending");
        raise_unfit(unfit_on, unfit);
        return outcome;
    }

    // What verify has seen is still all there is.
    static Outcome still_as_verified(const Turn &turn) {
        const auto &migration = turn.migration;
        if (!sync_triggers_are_intact(migration))
            raise(sqlstate::not_ready, {},
                  "{}: the sync trigger was disabled or dropped, so writes since may have parted "
                  "old and new; SELECT zdm.abort({}) and start again",
                  described(migration), Literal(migration.name));
        // What was written meanwhile is found by a pass that begins when it is mended.
        for (const auto &scope : scopes_of(migration))
            if (const std::string why = why_out_of_sync(scope); !why.empty())
                return Outcome::back_to(ordinal_of(migration, "backfill"), why);
        const std::string heap = any_unverified_heap(migration);
        if (!heap.empty())
            return Outcome::back_to(
                ordinal_of(migration, "backfill"),
                fmt::format("{} was attached, or its sync trigger disabled, since verify: "
                            "its rows are copied first",
                            heap));
        if (has_unsynced_writes(migration))
            return Outcome::back_to(ordinal_of(migration, "verify"),
                                    "a row was written since verify that the expression fails for");
        for (const auto &scope : scopes_of(migration)) {
            const auto now = find_carried(scope), then = still_carried(scope);
            if (counterparts(now) != counterparts(then))
                return Outcome::back_to(
                    ordinal_of(migration, "survey"),
                    "indexes or constraints of the old column have changed since they "
                    "were built for the new one");
            if (now != load_carried(scope.migration)) replace_carried(scope.migration, now);
        }
        return Outcome::finished();
    }

    static std::vector<Carried> counterparts(std::vector<Carried> carried) {
        carried.erase(std::remove_if(carried.begin(), carried.end(), is_remade), carried.end());
        return carried;
    }

    // Somebody may have changed a view in soak, or created one.
    static void find_remade_again(const Migration &migration) {
        for (const auto &scope : scopes_of(migration)) {
            auto now = counterparts(still_carried(scope));
            for (auto &one : find_remade(scope)) now.push_back(std::move(one));
            replace_carried(scope.migration, now);
        }
    }
} const swap;

}  // namespace
}  // namespace zdm
