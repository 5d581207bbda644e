#include "worker/advance.hpp"

#include <algorithm>

#include "carry/plan.hpp"
#include "state/event.hpp"
#include "step/lock.hpp"
#include "step/present_name.hpp"
#include "step/public_text.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

struct Move {
    std::optional<Step> step;
    bool backwards = false;
};

bool began(const Step &step) { return step.state != "pending" && step.state != "undone"; }

// The plan is walked forward to the target; back through soak's steps for revert; back through
// those before for abort (which there is no way to from soak, so of soak's steps none has taken
// effect, however often it was tried, but the foreign keys that a cutover has put up).
Move next_move(const Migration &migration, const std::vector<Step> &steps) {
    const bool reverting = migration.phase == Phase::soak && migration.target == Phase::ready;
    if (migration.target == Phase::aborted || reverting) {
        for (auto step = steps.rbegin(); step != steps.rend(); ++step)
            if (began(*step) && (reverting == (step->phase >= Phase::soak) ||
                                 (!reverting && step->kind == "add_foreign_key")))
                return {*step, true};
        return {std::nullopt, true};
    }
    for (const auto &step : steps)
        if (!step.done() && step.phase <= migration.target) return {step, false};
    return {};
}

const char *state_undone(const Step &step) {
    return step.phase >= Phase::soak ? "pending" : "undone";
}

// What could not be taken back is still there.
void stop_step(const Migration &migration, const Move &move, const char *state,
               const std::string &reason) {
    const bool still_done = move.backwards && move.step->done();
    set_step_state(migration, *move.step, still_done ? "done" : state, reason);
    if (move.backwards) count_attempt(migration, *move.step);
}

void record_outcome(Turn &turn, const Move &move, const Outcome &outcome) {
    const Migration &migration = turn.migration;
    switch (outcome.kind) {
        case Outcome::Kind::done:
            if (move.backwards) set_step_state(migration, *move.step, state_undone(*move.step));
            if (migration.state == "waiting") report_state(migration, "running", "");
            break;
        case Outcome::Kind::again:
            if (migration.state == "waiting") report_state(migration, "running", "");
            break;
        case Outcome::Kind::waiting:
            if (!outcome.midway) stop_step(migration, move, "waiting", outcome.reason);
            report_state(migration, "waiting", outcome.reason);
            break;
        case Outcome::Kind::replan:
            reset_steps_from(migration, outcome.replan_from);
            record_event(migration, "replan", to_string(migration.phase),
                         {{"reason", outcome.reason}});
            report_state(migration, "running", outcome.reason);
            break;
    }
}

// Strong locks have their own policy (step/lock.hpp). What fails for a lock here has asked for a
// weak one and not queued, so that nobody stands behind it: it may ask again soon.
constexpr int64_t longest_weak_lock_pause_ms = 1000;

// As step/utility.hpp and step/giving_way.hpp do; the lock may be another one than a row's writer
// needs.
bool says_for_whom(const Error &error) {
    const std::string message = error.what();
    return message.rfind("waits for a lock: ", 0) == 0 || message.rfind("gave way to ", 0) == 0;
}

// The step's own transaction is rolled back; why it failed is kept in a new one.
int64_t record_failure(const Migration &seen, const Move &move, const Error &error) {
    const Step &step = *move.step;
    const std::string code = error.sqlstate();
    std::string reason = public_text(seen, error);
    // What the step has said of the migration itself stands alone; the rest needs its place.
    if (reason.rfind("zdm: migration ", 0) != 0) {
        if (reason.rfind("zdm: ", 0) == 0) reason.erase(0, 5);
        reason =
            fmt::format("{}: step {} ({}): {}", described(seen), step.ordinal, step.kind, reason);
    }
    int64_t pause_ms = 0;
    in_transaction([&] {
        const auto now = load_migration(seen.id);
        if (!now) return;
        if (passes_by_itself(code)) {
            pause_ms = std::max<int64_t>(retry_pause_ms(step.attempts), 100);
            if (code == sqlstate::lock_not_available) {
                const uint32_t relation = step.relation != 0 ? step.relation : seen.relation;
                const std::string holder =
                    says_for_whom(error) ? "" : table_holder(relation, ZDM_ROW_EXCLUSIVE);
                if (!holder.empty()) reason = fmt::format("waits for a lock: {}", holder);
                pause_ms = std::min(pause_ms, longest_weak_lock_pause_ms);
            }
            stop_step(*now, move, "waiting", reason);
            report_state(*now, "waiting", reason, code);
        } else {
            stop_step(*now, move, "failed", reason);
            report_state(*now, "failed", reason, code);
        }
    });
    return pause_ms;
}

// Dropped by somebody: nothing is left to work on, and nothing to undo.
void check_table(Turn &turn) {
    in_turn(turn, [&] {
        if (query("SELECT FROM pg_class WHERE oid = $1::oid", {turn.migration.relation}).empty())
            raise(sqlstate::undefined_table, {},
                  "{}: the table was dropped; SELECT zdm.abort({}) closes the migration",
                  described(turn.migration), Literal(turn.migration.name));
    });
}

void arrive(Turn &turn, bool backwards) {
    in_turn(turn, [&] {
        const Phase phase = backwards && turn.migration.target == Phase::aborted ? Phase::aborted
                            : backwards                                          ? Phase::ready
                                        : turn.migration.target;
        if (turn.migration.phase != phase) set_phase(turn.migration, phase);
    });
}

// A partition of its table, or a table whose foreign key refers to it. What was to be done or
// undone there is gone with it.
bool on_table_that_is_gone(const Migration &migration, const Step &step) {
    if (step.relation == 0) return false;
    for (const auto &seen : on_each_table(migration))
        if (seen.relation == step.relation) return false;
    return query("SELECT FROM pg_class WHERE oid = $1::oid", {step.relation}).empty();
}

// Steps of a phase beyond the present target: verified, and waiting for cutover on the way.
bool reached_ready(const Migration &migration, const std::vector<Step> &steps) {
    return migration.phase == Phase::verify &&
           std::all_of(steps.begin(), steps.end(),
                       [](const Step &step) { return step.done() || step.phase > Phase::verify; });
}

}  // namespace

namespace {

// Finds the step to go on with, if any. False: there is nothing to run, and that is noted.
bool begin_turn(Turn &turn, Move &move) {
    const Migration migration = turn.migration;
    bool is_to_run = false;
    in_turn(turn, [&] {
        const auto steps = load_steps(migration.id);
        move = next_move(migration, steps);
        if (!move.backwards && reached_ready(migration, steps)) {
            set_phase(migration, Phase::ready);
            return;
        }
        is_to_run = true;
        if (!move.step) return;
        Step &step = *move.step;
        if (!move.backwards && is_no_partition_any_more(migration, step.related)) {
            reset_steps_from(migration, ordinal_of(migration, "survey"));
            is_to_run = false;
            return;
        }
        if (on_table_that_is_gone(migration, step) ||
            (!move.backwards && is_no_partition_any_more(migration, step.relation))) {
            set_step_state(migration, step, move.backwards ? state_undone(step) : "done");
            is_to_run = false;
            return;
        }
        turn.migration = on_table(migration, step.relation);
        step.sql = under_present_name(step, turn.migration.relation);
        turn.mapping = load_mapping(turn.migration);
        if (!move.backwards && step.state != "running") {
            if (step.phase == Phase::done) hold_on_way_to_done(migration);
            set_step_state(migration, step, "running");
        }
    });
    return is_to_run;
}

int64_t take_turn(const Migration &migration, bool alone, Pacer &pacer) {
    Turn turn{migration, {}, {}, alone, pacer};
    Move move;
    try {
        if (!begin_turn(turn, move)) return 0;
        if (!move.step) {
            arrive(turn, move.backwards);
            return 0;
        }
        const StepKind &kind = StepKind::find(move.step->kind);
        if (migration.target != Phase::aborted) check_table(turn);
        const Outcome outcome =
            move.backwards ? kind.undo(turn, *move.step) : kind.run(turn, *move.step);
        in_turn(turn, [&] { record_outcome(turn, move, outcome); });
        return outcome.pause_ms;
    } catch (Error &error) {
        if (error.is_shut_down() || !move.step) throw;
        return record_failure(migration, move, error);
    } catch (const std::exception &defect) {
        if (!move.step) throw;
        // A defect of ours is told like any failure: a worker that dies of it would be started
        // again and again, and say nothing.
        return record_failure(migration, move,
                              Error(zdm_error_make("XX000", defect.what(), "", "")));
    }
}

}  // namespace

int64_t advance(const Migration &migration, bool alone, Pacer &pacer) {
    try {
        return take_turn(migration, alone, pacer);
    } catch (Error &error) {
        // A caller's open transaction has changed this migration (a target, a pause). Not a word of
        // that can be written down before it ends; so only come back. Or a statement that was to be
        // cancelled had just ended.
        if (error.sqlstate() != sqlstate::lock_not_available &&
            error.sqlstate() != sqlstate::query_canceled)
            throw;
        return 100;
    }
}

}  // namespace zdm
