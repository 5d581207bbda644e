// latency: how long others' transactions take while we work, against how long they take while we
// rest. The only signal that says what an application notices, whatever the reason.
//
// What a busy server can spare (foreground.cpp) is a careful guess; this corrects it. It answers
// late and with some chance in it, so it goes only half of the way (in logarithms) to where the
// excess would be a little less than the limit allows.
//
// Not all of the excess follows from our share of the time: some is there whenever a pass runs at
// all, or comes of the rows that get longer. Going slower would not cure that, it would only make
// it last. So passes work half as much of the time now and then, and what counts is by how much
// less is noticed of that. Measured beside pgbench at a quarter of its peak on two cores, p95 and
// p99: 1.5 and 2.4 ms at a share of 0.01, 1.5 and 2.5 at 0.1, 1.7 and 2.8 at 0.2, 1.8 and 2.8 at
// 0.3.
//
// What is measured in the server leaves out what clients wait for between their statements: a core,
// for one, on either side. So a correction goes up to what idle cores allow at most. Who waits for
// a core waits the longer the less is idle, in proportion (queueing theory's 1 / (1 - load)): of
// what is idle without us a part of 1 - 1 / limit may be taken. Measured at half of the peak, where
// 0.53 cores are idle: p99 5.5 ms at 0.01, 6.3 at 0.1, 12 and more at 0.2 and 0.3.
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
// counted against no less than this. (With a millisecond, 0.16 of excess in 0.35 was 0.31 in 0.95
// for a client on the same machine.)
constexpr double least_quiet_ms = 0.6;
// A correction that was not used up has not been tried.
constexpr double used_up = 0.8;
constexpr double least_times = 0.05, most_times = 20;
// What the chance in a comparison moves a correction by that is right.
constexpr double hardly = 1.25;

// That follows from our share of the time, against what there is without us.
double excess(const ZdmLatencyComparison &latest) {
    const double brisk = latest.ms[ZDM_BRISK], gentle = latest.ms[ZDM_GENTLE],
                 quiet = latest.ms[ZDM_QUIET];
    const double by_share = (brisk - gentle) / (1 - ZDM_GENTLE_SHARE);
    return std::min(by_share, brisk - quiet) / std::max(quiet, least_quiet_ms);
}

// In a brisk window, of the time of one core.
double most_of_idle(const ZdmLatencyComparison &latest, double limit) {
    if (latest.idle_cores < 0) return 1;
    return std::clamp(latest.idle_cores * (1 - 1 / limit) / LatencyWindows::mean_share(), 0.0, 1.0);
}

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
        const double most = most_of_idle(latest, limit);
        const double step =
            std::clamp(std::sqrt(std::max(limit - 1, 0.0) * aim / std::max(excess(latest), 0.001)),
                       shrink_by_most, grow_by_most);
        const double used = std::min(scene.duty / scene.ceiling, 1.0);
        const bool grows = step >= 1 && used >= used_up && scene.ceiling < most;
        if (history.points.empty()) {
            history.points = {{scene.now_ms, 0}};
            history.value = 1;
        }
        if (history.points[0].value != latest.number) {
            history.points = {{scene.now_ms, static_cast<double>(latest.number)}};
            if (step < 1)
                history.value *= std::max(used * step, shrink_by_most);
            else if (grows)
                history.value *= step;
            history.value = std::clamp(history.value, least_times, most_times);
        }
        Reading reading;
        const double moves = step < 1 ? 1 / step : grows ? step : 1;
        reading.correction = {history.value, most, moves < hardly};
        if (step >= 1 && most < 1 && scene.ceiling >= most)
            reading.text = fmt::format(
                "{:.2f} of {:.0f} cores idle while it rests (zdm.max_latency_ratio {:g})",
                latest.idle_cores, scene.cores, limit);
        else
            reading.text = fmt::format(
                "p95 of others' transactions {:.2f} ms beside it, {:.2f} ms "
                "without (zdm.max_latency_ratio {:g})",
                latest.ms[ZDM_BRISK], latest.ms[ZDM_QUIET], limit);
        return reading;
    }
} const latency;

}  // namespace
}  // namespace zdm
