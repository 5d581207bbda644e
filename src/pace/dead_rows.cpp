// dead_rows: what autovacuum has not cleaned up yet in the table. Slower, it may catch up.
#include "core/sql.hpp"
#include "pace/signal.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double lowest_duty = 0.25;
constexpr double least_rows = 10000;  // below that vacuum takes no time

class DeadRows final : public Signal {
  public:
    const char *name() const override { return "dead_rows"; }
    double period_ms() const override { return 5000; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        if (scene.limits.dead_rows <= 0) return std::nullopt;
        const Rows rows =
            kept_query("SELECT pg_stat_get_dead_tuples($1::oid), pg_stat_get_live_tuples($1::oid)",
                       {scene.relation});
        const double dead = rows.number(0, 0), all = dead + rows.number(0, 1);
        if (all < least_rows) return std::nullopt;
        Reading reading;
        reading.load = dead / all / scene.limits.dead_rows;
        reading.lowest_duty = lowest_duty;
        reading.text = fmt::format(
            "{:.0f} % of the rows of {} are dead: vacuum is behind (zdm.max_dead_rows {:g})",
            100 * dead / all, scene.relation_name, scene.limits.dead_rows);
        return reading;
    }
} const dead_rows;

}  // namespace
}  // namespace zdm
