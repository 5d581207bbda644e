// latency: how long others' transactions take while we work, against how long they take while we
// rest. The only signal that says what an application notices, whatever the reason.
//
// What a busy server can spare (foreground.cpp) is a careful guess; this corrects it. It answers
// late and with some chance in it, so it goes only half of the way (in logarithms) to where the
// excess would be a little less than the limit allows, if it were in proportion to our share.
#include "pace/signal.hpp"

#include <algorithm>
#include <cmath>

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double shrink_by_most = 0.6, grow_by_most = 1.5;
// Of what the limit leaves above 1: what is aimed at.
constexpr double aim = 0.8;
// Whoever measures at the client has the network, and its turn on a core, in it too: excess is
// counted against no less than this.
constexpr double least_quiet_ms = 1;
// A correction that was not used up has not been tried.
constexpr double used_up = 0.8;
constexpr double least = 0.05, most = 20;

class Latency final : public Signal {
  public:
    const char *name() const override { return "latency"; }
    double period_ms() const override { return 1000; }

    // history: value is the correction, the one point says which comparison has moved it last.
    std::optional<Reading> measure(const Scene &scene, History &history) const override {
        const double limit = scene.limits.latency_ratio;
        if (limit <= 0 || !scene.latency) {
            history.points.clear();
            return std::nullopt;
        }
        const ZdmLatencyComparison &latest = *scene.latency;
        if (history.points.empty()) {
            history.points = {{scene.now_ms, 0}};
            history.value = 1;
        }
        if (history.points[0].value != latest.number) {
            history.points = {{scene.now_ms, static_cast<double>(latest.number)}};
            const double used = std::min(scene.duty / scene.ceiling, 1.0);
            const double excess =
                (latest.active_ms - latest.quiet_ms) / std::max(latest.quiet_ms, least_quiet_ms);
            const double step =
                std::clamp(std::sqrt(std::max(limit - 1, 0.0) * aim / std::max(excess, 0.001)),
                           shrink_by_most, grow_by_most);
            if (step < 1)
                history.value *= std::max(used * step, shrink_by_most);
            else if (used >= used_up && scene.ceiling < 1)
                history.value *= step;
            history.value = std::clamp(history.value, least, most);
        }
        Reading reading;
        reading.correction = history.value;
        reading.text = fmt::format(
            "p{} of others' transactions {:.2f} ms beside it, {:.2f} ms "
            "without (zdm.max_latency_ratio {:g})",
            latest.percentile, latest.active_ms, latest.quiet_ms, limit);
        return reading;
    }
} const latency;

}  // namespace
}  // namespace zdm
