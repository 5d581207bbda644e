#include "pace/latency_windows.hpp"

#include <algorithm>
#include <numeric>

#include "pace/idle_cores.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// By kind. What is not done in the others has to be done in brisk ones, in which others notice the
// more of it: these are short only while the correction moves. Only beside a load.
constexpr double length_ms[] = {9000, 1500, 500};
constexpr double unsettled_brisk_ms = 3000;
// What the last boxes have set going (WAL to be written, a queue that has built up) ends in it.
constexpr double settle_ms = 100;
// Windows end by themselves where the conductor does not come to it in this time.
constexpr double overdue_ms = 2000;

// In a brisk window. With fewer there is nobody to be disturbed, nor anything to compare.
constexpr double least_transactions = 60;
// What passes do to others shows in the 95th percentile as in the 99th, and there with much less
// chance: that one follows every hiccup of a disk. So many transactions make one, in every kind of
// window.
constexpr double percent = 95, least_for_it = 400;
// By kind. What was known before fades with each window: what is true of those in which passes work
// changes with our pace; quiet ones are short, and a disk's hiccups come once in a few of them.
constexpr double kept[] = {0.6, 0.6, 0.9};
constexpr double kept_idle = 0.5;

double settle_ms_of(int kind) { return kind == ZDM_QUIET ? settle_ms : 0; }

double length_ms_of(int kind, bool settled) {
    return kind == ZDM_BRISK && !settled ? unsettled_brisk_ms : length_ms[kind];
}

// From its opening to its end.
double whole_ms(int kind, bool settled = true) {
    return settle_ms_of(kind) + length_ms_of(kind, settled);
}

double total(const std::array<double, ZDM_LATENCY_BUCKETS> &counts) {
    return std::accumulate(counts.begin(), counts.end(), 0.0);
}

double percentile_ms(const std::array<double, ZDM_LATENCY_BUCKETS> &counts) {
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

void LatencyWindows::open(int kind, bool settled, double now_ms) {
    const bool quiet = kind == ZDM_QUIET;
    kind_ = kind;
    ends_ms_ = now_ms + whole_ms(kind, settled);
    if (quiet) idle_seconds_ = idle_core_seconds();
    // A quiet one has to end in time: everybody rests in it.
    zdm_latency_open(kind, settle_ms_of(kind),
                     length_ms_of(kind, settled) + (quiet ? 0 : overdue_ms));
}

void LatencyWindows::tick(bool settled, double now_ms) {
    if (conducts_ && !has_lapsed(now_ms)) return;
    // A window in which nobody worked at the end says nothing.
    const bool conducted = conducts_ && now_ms < ends_ms_ + overdue_ms;
    conducts_ = zdm_latency_conduct();
    if (!conducts_) return;
    if (!conducted) {
        std::array<uint32_t, ZDM_LATENCY_BUCKETS> of_somebody_else;
        for (int kind = 0; kind < ZDM_WINDOW_KINDS; ++kind)
            zdm_latency_take(kind, of_somebody_else.data());
        zdm_latency_publish(nullptr);
        open(ZDM_BRISK, false, now_ms);
        return;
    }
    std::array<uint32_t, ZDM_LATENCY_BUCKETS> taken;
    zdm_latency_take(kind_, taken.data());
    const double transactions = std::accumulate(taken.begin(), taken.end(), 0.0);
    Counts &counts = counts_[kind_];
    for (size_t bucket = 0; bucket < counts.size(); ++bucket)
        counts[bucket] = counts[bucket] * kept[kind_] + taken[bucket];
    if (kind_ == ZDM_QUIET) {
        measure_idle(now_ms);
        compare();
    }
    const bool worth_it = kind_ != ZDM_BRISK || transactions >= least_transactions;
    if (!worth_it) forget();
    open(worth_it ? (kind_ + 1) % ZDM_WINDOW_KINDS : ZDM_BRISK, settled, now_ms);
}

void LatencyWindows::measure_idle(double now_ms) {
    const auto seconds = idle_core_seconds();
    const double passed = (now_ms - ends_ms_ + whole_ms(ZDM_QUIET)) / 1000;
    if (!seconds || !idle_seconds_) return;
    const double cores = (*seconds - *idle_seconds_) / passed;
    idle_cores_ = idle_cores_ < 0 ? cores : kept_idle * idle_cores_ + (1 - kept_idle) * cores;
}

void LatencyWindows::compare() {
    double fewest = total(counts_[ZDM_BRISK]);
    for (const Counts &counts : counts_) fewest = std::min(fewest, total(counts));
    if (fewest < least_for_it) return;
    ZdmLatencyComparison comparison{};
    comparison.idle_cores = idle_cores_;
    for (int kind = 0; kind < ZDM_WINDOW_KINDS; ++kind)
        comparison.ms[kind] = percentile_ms(counts_[kind]);
    zdm_latency_publish(&comparison);
}

// What was true of a load that is gone says nothing of the next one.
void LatencyWindows::forget() {
    for (auto &counts : counts_) counts.fill(0);
    idle_cores_ = -1;
    zdm_latency_publish(nullptr);
}

std::optional<ZdmLatencyComparison> LatencyWindows::latest() {
    ZdmLatencyComparison comparison;
    if (!zdm_latency_published(&comparison)) return std::nullopt;
    return comparison;
}

double LatencyWindows::mean_share() {
    const double brisk = whole_ms(ZDM_BRISK), gentle = whole_ms(ZDM_GENTLE);
    return (brisk + gentle * ZDM_GENTLE_SHARE) / (brisk + gentle + whole_ms(ZDM_QUIET));
}

void LatencyWindows::stop() {
    if (conducts_) zdm_latency_close();
    conducts_ = false;
    ends_ms_ = 0;
}

}  // namespace zdm
