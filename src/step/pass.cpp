#include "step/pass.hpp"

#include <algorithm>
#include <cmath>

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A stop is looked at again this often.
constexpr int64_t stop_pause_ms = 500;
// How many sessions are at work is asked for this often while we pause.
constexpr double slice_ms = 50;

}  // namespace

std::optional<Outcome> held_back(Turn &turn, const Scan &scan) {
    Pacer &pacer = turn.pacer;
    const double now_ms = zdm_now_ms();
    if (pacer.is_due(now_ms)) {
        in_turn(turn, [&] {
            pacer.look(scan.relation, scan.relation_name, turn.settings);
            pacer.log().note(turn.migration, pacer.throttle(turn.settings),
                             pacer.duty(turn.settings), pacer.unreadable(), now_ms);
        });
        pacer.log().keep();
    }
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
    if (turn.migration.message == reason) return;
    in_turn(turn, [&] { set_state(turn.migration, "running", reason); });
    turn.migration.message = reason;
}

std::string horizon_holder() {
    const Rows rows = query(
        R"(SELECT format('pid %s (%s, transaction open for %s s)', pid, state,
                         round(extract(epoch FROM clock_timestamp() - xact_start))), age(backend_xmin) AS age
             FROM pg_stat_activity
            WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
           UNION ALL
           SELECT format('replication slot %I', slot_name), greatest(age(xmin), age(catalog_xmin))
             FROM pg_replication_slots WHERE xmin IS NOT NULL
           UNION ALL
           SELECT format('prepared transaction %L', gid), age(transaction) FROM pg_prepared_xacts
            ORDER BY age DESC LIMIT 1)");
    return rows.empty() ? "an old snapshot" : rows.text(0, 0);
}

}  // namespace zdm
