#include "step/every_row.hpp"

#include <algorithm>

#include "carry/index_definition.hpp"
#include "carry/plan.hpp"
#include "state/event.hpp"
#include "state/scan.hpp"
#include "state/unsynced_write.hpp"
#include "step/lock.hpp"
#include "step/sync_trigger.hpp"
#include "step/verify.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// Revert puts these back on the old side without a look at it, for each row's old side is made of
// its new one.
bool is_proved_by_new_side(const Carried &carried) {
    return carried.carrier == "foreign_key" || carried.carrier == "foreign_key_to" ||
           (carried.keep_old && makes_unique_index(carried.definition));
}

// Where a row's old side alone may break a key no row may differ: nothing.
std::optional<Side> given_up_on(const Migration &table, Side given_up) {
    if (given_up == Side::old_side) return given_up;
    const auto carried = load_carried(table);
    if (std::any_of(carried.begin(), carried.end(), is_proved_by_new_side)) return std::nullopt;
    return given_up;
}

const char *done_with(Side given_up) {
    return given_up == Side::new_side ? "reverted" : "contracted";
}

// What was written meanwhile is found by a pass that begins when it is mended.
void refuse_out_of_sync(Turn &turn, Side given_up) {
    std::string why;
    in_turn(turn, [&] {
        for (const auto &scope : scopes_of(turn.migration)) {
            const std::string here = why_out_of_sync(scope);
            if (here.empty()) continue;
            why = here;
            delete_scans(scope.migration, "verify");
        }
    });
    if (!why.empty())
        raise(sqlstate::not_ready, {}, "{} cannot be {}: {}, then SELECT zdm.resume({})",
              described(turn.migration), done_with(given_up), why, Literal(turn.migration.name));
}

Outcome put_sync_triggers_back(Turn &turn, const Step &step) {
    return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
        for (const auto &scope : scopes_of(turn.migration)) {
            if (sync_trigger_is_intact(scope.migration)) continue;
            drop_sync_trigger(scope);
            create_sync_trigger(scope);
        }
        record_event(turn.migration, "sync trigger put back", to_string(turn.migration.phase),
                     {{"reason", "it was disabled or dropped"}});
        return Outcome::more();
    });
}

}  // namespace

Outcome know_every_row(Turn &turn, const Step &step, Side given_up) {
    std::vector<Migration> tables;
    bool intact = false, doubtful = false;
    in_turn(turn, [&] {
        tables = on_each_table(turn.migration);
        intact = sync_triggers_are_intact(turn.migration);
        doubtful = has_doubtful_rows(turn.migration, given_up);
    });
    if (!intact) return put_sync_triggers_back(turn, step);
    // The old side takes over at revert, so it has to follow from now on too.
    if (doubtful || given_up == Side::new_side) refuse_out_of_sync(turn, given_up);
    for (const auto &seen : tables) {
        Turn at_table = turn;
        at_table.migration = seen;
        std::optional<Side> given_up_here;
        in_turn(at_table, [&] {
            at_table.mapping = load_mapping(seen);
            given_up_here = given_up_on(seen, given_up);
        });
        const Outcome outcome = verify_again(at_table, given_up_here);
        if (!outcome.is_done()) return outcome;
    }
    return Outcome::finished();
}

bool has_doubtful_rows(const Migration &migration, Side given_up) {
    for (const auto &seen : on_each_table(migration)) {
        const auto side = given_up_on(seen, given_up);
        if (!unverified_heap(seen, side).empty() || has_unsynced_writes(seen, side)) return true;
    }
    return false;
}

}  // namespace zdm
