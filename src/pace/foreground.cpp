// foreground: sessions at work, against the cores.
//
// How much of the machine the pass takes follows at once from its own share of time, so nothing has
// to be tried: share = zdm.max_impact / (running sessions / cores). An idle server gives all of the
// time, one that is a quarter busy a quarter, a full one some per cent. Measured beside pgbench on
// two cores, in turns of some seconds: at a quarter of its peak a share of 0.2 costs its p95 a
// factor of 1.07, of 0.3 1.15, of 0.4 1.24; at half of its peak 0.1 costs its p99 1.0, 0.2 1.2, 0.3
// 1.5; at three quarters 0.2 costs 4. Where others' latency is measured, it corrects this
// (latency.cpp).
#include "pace/signal.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Foreground final : public Signal {
  public:
    const char *name() const override { return "foreground"; }
    double period_ms() const override { return 100; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        if (scene.limits.impact <= 0) return std::nullopt;
        const double busy = scene.running / scene.cores;
        Reading reading;
        reading.ceiling = std::min(1.0, scene.limits.impact / std::max(busy, 0.001));
        reading.text = fmt::format("{:.1f} sessions at work on {:.0f} cores (zdm.max_impact {:g})",
                                   scene.running, scene.cores, scene.limits.impact);
        return reading;
    }
} const foreground;

}  // namespace
}  // namespace zdm
