// slowdown: the time that a row takes against the least that it took in this table. What makes us
// slower (a busy disk, a cache that is too small) makes others slower too.
#include "pace/signal.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double lowest_duty = 0.25;
// The least fades, so that one lucky moment does not count for ever.
constexpr double fade = 1.001;

class Slowdown final : public Signal {
  public:
    const char *name() const override { return "slowdown"; }
    double period_ms() const override { return 1000; }

    // history: value is the least, the one point says for which table.
    std::optional<Reading> measure(const Scene &scene, History &history) const override {
        const double relation = scene.relation;
        if (history.points.empty() || history.points[0].value != relation) {
            history.points = {{scene.now_ms, relation}};
            history.value = 0;
        }
        if (scene.us_per_row <= 0) return std::nullopt;
        history.value =
            history.value > 0 ? std::min(history.value * fade, scene.us_per_row) : scene.us_per_row;
        if (scene.limits.slowdown <= 0) return std::nullopt;
        const double times = scene.us_per_row / history.value;
        Reading reading;
        reading.load = times / scene.limits.slowdown;
        reading.lowest_duty = lowest_duty;
        reading.text =
            fmt::format("a row takes {:.1f} us, {:.1f} times the least (zdm.max_slowdown {:g})",
                        scene.us_per_row, times, scene.limits.slowdown);
        return reading;
    }
} const slowdown;

}  // namespace
}  // namespace zdm
