#include "step/pass.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace zdm {

double pace(const Settings &settings, double worked_ms) {
    const double pause_ms =
        settings.duty >= 1 ? 0 : std::min(worked_ms * (1 / settings.duty - 1), 10000.0);
    check(zdm_sleep(static_cast<int64_t>(pause_ms)));
    return pause_ms;
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
