// checkpoints: those that came before their time because so much WAL was written. Each makes the
// next write of every page a full image, for everybody; so it counts only beside others.
#include "core/sql.hpp"
#include "pace/signal.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double counted_ms = 300000;
constexpr double lowest_duty = 0.1;
constexpr double idle_sessions = 0.05;

class Checkpoints final : public Signal {
  public:
    const char *name() const override { return "checkpoints"; }
    double period_ms() const override { return 1000; }

    // history: value is the server's count, points are the ones seen.
    std::optional<Reading> measure(const Scene &scene, History &history) const override {
        int64_t requested = 0;
        check(zdm_requested_checkpoints(&requested));
        const double count = static_cast<double>(requested);
        if (history.measured_ms > 0 && count > history.value)
            history.points.push_back({scene.now_ms, count - history.value});
        history.value = count;
        while (!history.points.empty() && scene.now_ms - history.points.front().at_ms > counted_ms)
            history.points.pop_front();
        if (scene.limits.requested_checkpoints <= 0 || scene.running < idle_sessions)
            return std::nullopt;
        double lately = 0;
        for (const auto &point : history.points) lately += point.value;
        Reading reading;
        reading.load = lately / scene.limits.requested_checkpoints;
        reading.lowest_duty = lowest_duty;
        reading.text = fmt::format(
            "{:.0f} checkpoints before their time in five minutes (zdm.max_requested_checkpoints "
            "{:.0f}): max_wal_size is small for what is written",
            lately, scene.limits.requested_checkpoints);
        return reading;
    }
} const checkpoints;

}  // namespace
}  // namespace zdm
