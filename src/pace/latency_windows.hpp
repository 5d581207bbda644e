// What the application's transactions notice of our passes: their latency while passes work, while
// they work half as much of the time, and while all of them rest for a moment. One of the passes
// measures that, the conductor, and all go by it. With shared_preload_libraries, see pg/latency.c.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/boundary.hpp"

namespace zdm {

class LatencyWindows {
  public:
    LatencyWindows() = default;
    LatencyWindows(const LatencyWindows &) = delete;
    LatencyWindows &operator=(const LatencyWindows &) = delete;
    ~LatencyWindows() { stop(); }
    // Several times a second while a pass works: opens and closes windows. settled: what is known
    // by now would hardly change our share.
    void tick(bool settled, double now_ms);
    // The pass stands still or is over, or nobody is to be measured.
    void stop();
    static std::optional<ZdmLatencyComparison> latest();
    // Of what passes take of their time in brisk windows: what they take in the mean of all.
    static double mean_share();

  private:
    using Counts = std::array<double, ZDM_LATENCY_BUCKETS>;

    bool has_lapsed(double now_ms) const { return now_ms >= ends_ms_; }
    void open(int kind, bool settled, double now_ms);
    void compare();
    void forget();
    void measure_idle(double now_ms);

    bool conducts_ = false;
    int kind_ = ZDM_BRISK;
    double ends_ms_ = 0;  // of the window under way
    Counts counts_[ZDM_WINDOW_KINDS] = {};
    std::optional<double> idle_seconds_;  // when the quiet window began
    double idle_cores_ = -1;              // mean over quiet windows; < 0: unknown
};

}  // namespace zdm
