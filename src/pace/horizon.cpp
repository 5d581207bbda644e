// horizon: the oldest snapshot. What it may still see cannot be pruned, in any table: the more is
// written now, the more is left over. Slowing down does not end it, so the pass never crawls for
// it.
#include "pace/horizon.hpp"

#include "core/sql.hpp"
#include "pace/signal.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

// A transaction that has written holds it for all databases: everybody's snapshots remember it as
// the oldest one that runs. A mere snapshot holds it for its own database only; one of no database
// at all is that of a standby (hot_standby_feedback). Where several are as old, the one that has
// been open longest is the cause.
std::optional<OldestSnapshot> oldest_snapshot() {
    const Rows rows = kept_query(
        R"(SELECT format('pid %s (%s, transaction open for %s s)', pid, coalesce(state, backend_type),
                         round(extract(epoch FROM clock_timestamp() - xact_start))),
                  greatest(age(backend_xid), CASE WHEN coalesce(datname = current_database(), true) THEN age(backend_xmin) END) AS age,
                  xact_start AS since
             FROM pg_stat_activity
            WHERE pid <> pg_backend_pid()
           UNION ALL
           SELECT format('replication slot %I', slot_name), age(xmin), NULL FROM pg_replication_slots
           UNION ALL
           SELECT format('prepared transaction %L', gid), age(transaction), prepared FROM pg_prepared_xacts
            ORDER BY age DESC NULLS LAST, since LIMIT 1)");
    if (rows.empty() || !rows.null_text(0, 1)) return std::nullopt;
    return OldestSnapshot{rows.text(0, 0), rows.number(0, 1)};
}

namespace {

constexpr double lowest_duty = 0.25;

class Horizon final : public Signal {
  public:
    const char *name() const override { return "horizon"; }
    double period_ms() const override { return 2000; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        if (scene.limits.horizon_age <= 0) return std::nullopt;
        const auto oldest = oldest_snapshot();
        if (!oldest) return std::nullopt;
        Reading reading;
        reading.load = oldest->age / scene.limits.horizon_age;
        reading.lowest_duty = lowest_duty;
        reading.text =
            fmt::format("snapshot {:.0f} transactions old: {} (zdm.max_horizon_age {:.0f})",
                        oldest->age, oldest->holder, scene.limits.horizon_age);
        return reading;
    }
} const horizon;

}  // namespace
}  // namespace zdm
