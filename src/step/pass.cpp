#include "step/pass.hpp"

#include <algorithm>
#include <cmath>

#include "pace/horizon.hpp"
#include "state/global_pause.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A stop is looked at again this often.
constexpr int64_t stop_pause_ms = 500;
// How many sessions are at work is asked for this often while we pause.
constexpr double slice_ms = 50;

constexpr double block_bytes = 8192;

Task task_of(const Scan &scan) {
    const uint32_t left = scan.blocks - std::min(scan.next_block, scan.blocks);
    return {scan.relation, scan.relation_name, scan.kind == "backfill" ? left * block_bytes : 0};
}

}  // namespace

std::optional<Outcome> held_back(Turn &turn, const Scan &scan) {
    Pacer &pacer = turn.pacer;
    const double now_ms = zdm_now_ms();
    bool all_paused = false;
    if (pacer.is_due(now_ms)) {
        in_turn(turn, [&] {
            all_paused = everything_is_paused();
            pacer.look(task_of(scan), turn.settings);
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

double pace(Turn &turn, const Box &box) {
    const double began_ms = zdm_now_ms();
    const double until_ms = began_ms + turn.pacer.pause_ms(turn.settings, box);
    double now_ms = began_ms;
    while (now_ms < until_ms) {
        const double wake_ms = std::min(now_ms + slice_ms, until_ms);
        check(zdm_sleep(static_cast<int64_t>(std::ceil(wake_ms - now_ms))));
        now_ms = zdm_now_ms();
        turn.pacer.note_running();
        if (now_ms < wake_ms - 1) break;  // there is news
    }
    if (until_ms <= began_ms) turn.pacer.note_running();
    return now_ms - began_ms;
}

void note_slowness(Turn &turn, const std::string &reason) {
    if (turn.helps || turn.migration.message == reason) return;
    in_turn(turn, [&] { report_state(turn.migration, "running", reason); });
    turn.migration.message = reason;
}

std::string horizon_holder() {
    const auto oldest = oldest_snapshot();
    return oldest ? oldest->holder : "an old snapshot";
}

}  // namespace zdm
