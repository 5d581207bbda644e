#include "step/pass.hpp"

#include <algorithm>
#include <cmath>

#include "pace/horizon.hpp"
#include "state/global_pause.hpp"
#include "state/pacing.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A stop is looked at again this often.
constexpr int64_t stop_pause_ms = 500;
// A helper looks this often whether its worker is still there, for that reads all locks; in a long
// pause it looks this often whether it should leave. Nobody wakes it.
constexpr double look_ms = 500;
// How many sessions are at work is asked for this often while we pause.
constexpr double slice_ms = 50;

constexpr double after_disk_error_ms = 10000;

constexpr double block_bytes = 8192;

Task task_of(const Turn &turn, const Scan &scan) {
    const uint32_t left = scan.blocks - std::min(scan.next_block, scan.blocks);
    return {scan.relation, scan.relation_name, scan.kind == "backfill" ? left * block_bytes : 0,
            turn.processes};
}

// No pass fails for want of it. Of a disk that is full its own signal speaks.
void prepare_wal_segment() {
    static double not_before_ms = 0;
    if (zdm_now_ms() < not_before_ms) return;
    try {
        check(zdm_wal_prepare_segment());
    } catch (Error &error) {
        if (error.is_interruption()) throw;
        check(zdm_warn(error.what()));
        not_before_ms = zdm_now_ms() + after_disk_error_ms;
    }
}

void inherit_stop(Turn &turn) {
    const auto before = load_pacing(turn.migration);
    if (before && before->level == "stop")
        turn.pacer.inherit({Throttle::Level::stop, before->signal, before->throttled_by});
}

}  // namespace

std::optional<Outcome> held_back(Turn &turn, const Scan &scan) {
    Pacer &pacer = turn.pacer;
    const double now_ms = zdm_now_ms();
    bool all_paused = false;
    if (pacer.is_due(now_ms)) {
        in_turn(turn, [&] {
            all_paused = everything_is_paused();
            if (pacer.is_new()) inherit_stop(turn);
            pacer.look(task_of(turn, scan), turn.settings);
            if (turn.helps) return;
            pacer.log().note(turn.migration, pacer.throttle(turn.settings),
                             pacer.duty(turn.settings), pacer.unreadable(), now_ms);
        });
        if (!turn.helps) pacer.log().keep();
    }
    if (all_paused) return Outcome::more();  // the worker leaves
    if (!pacer.stopped()) return std::nullopt;
    return Outcome::stand(pacer.stopped()->text, stop_pause_ms);
}

bool is_wanted(Turn &turn) {
    // What is news once is none the second time, so that alone says nothing about now.
    const bool unchanged = turn.refresh();
    if (!unchanged || turn.migration.phase != Phase::backfill || !turn.migration.has_work() ||
        turn.migration.target == Phase::aborted || everything_is_paused())
        return false;
    const double now_ms = zdm_now_ms();
    if (now_ms - turn.worker_seen_ms < look_ms) return true;
    if (!kept_query("SELECT zdm.worker_pid()").null_text(0, 0)) return false;
    turn.processes = 2 + static_cast<int>(other_helpers(turn.migration, "backfill"));
    turn.worker_seen_ms = now_ms;
    return true;
}

double pace(Turn &turn, const Box &box) {
    const double began_ms = zdm_now_ms();
    if (turn.pacer.beside_others() && !turn.helps) prepare_wal_segment();
    double looked_ms = began_ms;
    const double until_ms = began_ms + turn.pacer.pause_ms(turn.settings, box);
    double now_ms = began_ms;
    while (now_ms < until_ms) {
        const double wake_ms = std::min(now_ms + slice_ms, until_ms);
        check(zdm_sleep(static_cast<int64_t>(std::ceil(wake_ms - now_ms))));
        now_ms = zdm_now_ms();
        turn.pacer.note_running();
        if (now_ms < wake_ms - 1) break;  // there is news
        if (turn.helps && now_ms - looked_ms > look_ms) {
            looked_ms = now_ms;
            bool wanted = false;
            Turn look = turn;  // the next box is to find the same news
            in_turn(look, [&] { wanted = is_wanted(look); });
            if (!wanted) break;
        }
    }
    if (until_ms <= began_ms) turn.pacer.note_running();
    return now_ms - began_ms;
}

void note_slowness(Turn &turn, const std::string &reason) {
    if (turn.helps || turn.migration.message == reason) return;
    in_turn(turn, [&] { report_state(turn.migration, "running", reason); });
    turn.migration.message = reason;
}

void note_every_row_read(Turn &turn, const std::string &constraint) {
    note_slowness(turn, fmt::format("reads every row of {} for constraint {}",
                                    turn.migration.relation_name, Identifier(constraint)));
}

std::string horizon_holder() {
    const auto oldest = oldest_snapshot();
    return oldest ? oldest->holder : "an old snapshot";
}

}  // namespace zdm
