#include "pace/latency_windows.hpp"

#include <algorithm>
#include <numeric>

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A tenth of the time is given for the comparison, and only beside a load.
constexpr double active_ms = 5000, quiet_ms = 500;
// What the last boxes have set going (WAL to be written, a queue that has built up) ends in it.
constexpr double settle_ms = 100;
// Windows end by themselves where the conductor does not come to it in this time.
constexpr double overdue_ms = 2000;

// In an active window. With fewer there is nobody to be disturbed, nor anything to compare.
constexpr double least_transactions = 100;
// So many make a percentile of that, in either kind of window.
constexpr double for_95th = 400, for_99th = 2000;
// What was known before fades with each window: what is true of active ones changes with our pace;
// quiet ones are short, and a disk's hiccups come once in a few of them.
constexpr double kept_active = 0.5, kept_quiet = 0.9;

double total(const std::array<double, ZDM_LATENCY_BUCKETS> &counts) {
    return std::accumulate(counts.begin(), counts.end(), 0.0);
}

double percentile_ms(const std::array<double, ZDM_LATENCY_BUCKETS> &counts, double percent) {
    double left = total(counts) * percent / 100;
    for (int bucket = 0; bucket < ZDM_LATENCY_BUCKETS; ++bucket) {
        const double count = counts[static_cast<size_t>(bucket)];
        if (count > 0 && left <= count) {
            const double from = zdm_latency_bucket_ms(bucket),
                         to = zdm_latency_bucket_ms(bucket + 1);
            return from + (to - from) * left / count;
        }
        left -= count;
    }
    return zdm_latency_bucket_ms(ZDM_LATENCY_BUCKETS);
}

}  // namespace

void LatencyWindows::open(int kind, double now_ms) {
    const bool quiet = kind == ZDM_QUIET;
    const double length_ms = quiet ? quiet_ms : active_ms;
    kind_ = kind;
    ends_ms_ = now_ms + (quiet ? settle_ms : 0) + length_ms;
    // A quiet one has to end in time: everybody rests in it.
    zdm_latency_open(kind, quiet ? settle_ms : 0, quiet ? length_ms : length_ms + overdue_ms);
}

void LatencyWindows::tick(double now_ms) {
    if (conducts_ && !has_lapsed(now_ms)) return;
    // A window in which nobody worked at the end says nothing.
    const bool conducted = conducts_ && now_ms < ends_ms_ + overdue_ms;
    conducts_ = zdm_latency_conduct();
    if (!conducts_) return;
    if (!conducted) {
        std::array<uint32_t, ZDM_LATENCY_BUCKETS> of_somebody_else;
        zdm_latency_take(ZDM_ACTIVE, of_somebody_else.data());
        zdm_latency_take(ZDM_QUIET, of_somebody_else.data());
        zdm_latency_publish(nullptr);
        open(ZDM_ACTIVE, now_ms);
        return;
    }
    std::array<uint32_t, ZDM_LATENCY_BUCKETS> taken;
    zdm_latency_take(kind_, taken.data());
    const double transactions = std::accumulate(taken.begin(), taken.end(), 0.0);
    Counts &counts = counts_[kind_];
    const double kept = kind_ == ZDM_QUIET ? kept_quiet : kept_active;
    for (size_t bucket = 0; bucket < counts.size(); ++bucket)
        counts[bucket] = counts[bucket] * kept + taken[bucket];
    if (kind_ == ZDM_QUIET) compare();
    const bool worth_a_rest = kind_ == ZDM_ACTIVE && transactions >= least_transactions;
    if (kind_ == ZDM_ACTIVE && !worth_a_rest) forget();
    open(worth_a_rest ? ZDM_QUIET : ZDM_ACTIVE, now_ms);
}

void LatencyWindows::compare() {
    const double fewer = std::min(total(counts_[ZDM_ACTIVE]), total(counts_[ZDM_QUIET]));
    if (fewer < for_95th) return;
    const int percentile = fewer < for_99th ? 95 : 99;
    const ZdmLatencyComparison comparison = {percentile,
                                             percentile_ms(counts_[ZDM_ACTIVE], percentile),
                                             percentile_ms(counts_[ZDM_QUIET], percentile), 0};
    zdm_latency_publish(&comparison);
}

// What was true of a load that is gone says nothing of the next one.
void LatencyWindows::forget() {
    for (auto &counts : counts_) counts.fill(0);
    zdm_latency_publish(nullptr);
}

std::optional<ZdmLatencyComparison> LatencyWindows::latest() {
    ZdmLatencyComparison comparison;
    if (!zdm_latency_published(&comparison)) return std::nullopt;
    return comparison;
}

void LatencyWindows::stop() {
    if (conducts_) zdm_latency_close();
    conducts_ = false;
    ends_ms_ = 0;
}

}  // namespace zdm
