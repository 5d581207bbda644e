// disk: what is free where the table lies against what the rest of the backfill will take, and what
// is free for WAL.
#include "core/sql.hpp"
#include "pace/signal.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// In place a table and its indexes grow by less than a fifth; old snapshots make it more.
constexpr double growth = 0.3;
constexpr double resume_at = 0.95;
constexpr double lowest_duty = 0.25;

class Disk final : public Signal {
  public:
    const char *name() const override { return "disk"; }
    double period_ms() const override { return 1000; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        if (scene.limits.disk_free_bytes <= 0) return std::nullopt;
        const Reading table = measure_one(scene, false, scene.remaining_bytes * growth);
        const Reading wal = measure_one(scene, true, 0);
        return table.load >= wal.load ? table : wal;
    }

  private:
    static Reading measure_one(const Scene &scene, bool of_wal, double needed) {
        double free = 0;
        check(zdm_disk_free(scene.relation, of_wal, &free));
        Reading reading;
        reading.load = (needed + scene.limits.disk_free_bytes) / (free + 1);
        reading.stop_at = 1;
        reading.resume_at = resume_at;
        reading.lowest_duty = lowest_duty;
        reading.text = fmt::format(
            "disk has {} free for {}{} (zdm.min_disk_free {})", in_bytes(free),
            of_wal ? "WAL" : scene.relation_name,
            needed > 0 ? fmt::format(", the rest needs about {}", in_bytes(needed)) : "",
            in_bytes(scene.limits.disk_free_bytes));
        return reading;
    }
} const disk;

}  // namespace
}  // namespace zdm
