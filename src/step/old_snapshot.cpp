#include "step/old_snapshot.hpp"

#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

// What the backfill wrote was committed before its step was noted as done. A snapshot whose oldest
// transaction is younger than that note sees it all; so does one of a transaction that began later,
// even where the oldest transaction is an old one of somebody else's.
Outcome after_old_snapshots(const Migration &migration, const Step &step) {
    const Rows ended = catalog(
        R"(SELECT finished_at, xmin FROM zdm.step
            WHERE migration = $1::bigint AND phase = 'backfill' AND finished_at IS NOT NULL
            ORDER BY finished_at DESC LIMIT 1)",
        {migration.id});
    if (ended.empty()) return Outcome::finished();
    const Rows rows = query(
        R"(SELECT format('pid %s (%s, transaction open for %s s)', a.pid, a.state,
                         round(extract(epoch FROM clock_timestamp() - a.xact_start)))
             FROM pg_stat_activity a
            WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
              AND a.xact_start < $1::timestamptz AND age(a.backend_xmin) >= age($2::xid)
              AND a.backend_type <> 'autovacuum worker'
              AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
            ORDER BY a.xact_start LIMIT 1)",
        {ended.text(0, 0), ended.text(0, 1)});
    if (rows.empty()) return Outcome::finished();
    return Outcome::wait(fmt::format("waits for a snapshot from before all rows were copied, which "
                                     "would find the new columns empty: {}",
                                     rows.text(0, 0)),
                         retry_pause_ms(step.attempts));
}

}  // namespace zdm
