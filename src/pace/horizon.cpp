// horizon: the oldest snapshot. What it may still see cannot be pruned, in any table: the more is
// written now, the more is left over. Slowing down does not end it, so the pass never crawls for
// it.
#include "pace/horizon.hpp"

#include "core/sql.hpp"
#include "pace/signal.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::optional<OldestSnapshot> oldest_snapshot() {
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
    if (rows.empty()) return std::nullopt;
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
