// row_waits, table_waiters: others who wait for what we hold. The engine ends its box as soon as
// somebody waits for a row of it, and each box lets go of the table; these make the boxes rarer.
#include "core/sql.hpp"
#include "pace/signal.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double lowest_duty = 0.05;

class RowWaits final : public Signal {
  public:
    const char *name() const override { return "row_waits"; }
    double period_ms() const override { return 250; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        if (scene.limits.row_waits <= 0) return std::nullopt;
        Reading reading;
        reading.load = scene.row_waits / scene.limits.row_waits;
        reading.lowest_duty = lowest_duty;
        reading.text = fmt::format(
            "others wait for rows of ours {:.1f} times a second "
            "(zdm.max_row_waits {:.0f})",
            scene.row_waits, scene.limits.row_waits);
        return reading;
    }
} const row_waits;

class TableWaiters final : public Signal {
  public:
    const char *name() const override { return "table_waiters"; }
    double period_ms() const override { return 100; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        if (scene.limits.table_waiters <= 0) return std::nullopt;
        int waiters = 0;
        check(zdm_table_waiters(scene.relation, &waiters));
        Reading reading;
        reading.load = waiters / scene.limits.table_waiters;
        reading.lowest_duty = lowest_duty;
        reading.text = fmt::format("{} session{} for a lock on {} (zdm.max_table_waiters {:.0f})",
                                   waiters, waiters == 1 ? " waits" : "s wait", scene.relation_name,
                                   scene.limits.table_waiters);
        return reading;
    }
} const table_waiters;

}  // namespace
}  // namespace zdm
