// replica_lag: the standby that is farthest behind, in time and in bytes.
//
// Time is the age of the oldest WAL that the standby has not replayed, from what this process has
// seen of the WAL's growth: the lag that the standby reports stands still when the standby does. A
// standby reports its place when it gets something, so where it looks behind and nothing is being
// written, a few bytes are sent to make it speak.
//
// In bytes it is where the lag may be at the next look: a pass writes megabytes between two looks,
// in bursts, and stopping is too late once the limit is broken.
//
// Commits of the application wait for a synchronous standby, so that one slows the pass down from a
// tenth of the budget on, by the delay of its flushes.
#include "pace/signal.hpp"

#include <algorithm>

#include "core/sql.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double stop_at_budgets = 5;
constexpr double synchronous_share = 0.1;
constexpr double speak_after_ms = 500;
constexpr size_t longest_history = 4096;
// From one look to the next: a burst is forgotten after a second.
constexpr double growth_fades = 0.8;
// A burst is at most so many times the one before, as a rule.
constexpr double growth_varies = 2;

std::string in_time(double ms) {
    return ms < 1000 ? fmt::format("{:.0f} ms", ms) : fmt::format("{:.1f} s", ms / 1000);
}

// How long ago the first WAL behind that place was written, as far as this process has seen.
double age_ms(const History &history, double place, double now_ms) {
    for (const auto &point : history.points)
        if (point.value > place) return now_ms - point.at_ms;
    return 0;
}

class ReplicaLag final : public Signal {
  public:
    const char *name() const override { return "replica_lag"; }
    // At every look: a pass writes some 50 MB of WAL a second.
    double period_ms() const override { return 0; }

    std::optional<Reading> measure(const Scene &scene, History &history) const override {
        if (scene.limits.replica_lag_ms <= 0 && scene.limits.replica_lag_bytes <= 0)
            return std::nullopt;
        // Logical subscribers report at their own times; what they hold back is in slot_retention.
        const Rows rows = kept_query(
            R"(SELECT coalesce(nullif(r.application_name, ''), host(r.client_addr), r.pid::text),
                      r.sync_state IN ('sync', 'quorum'),
                      r.replay_lsn - '0/0', pg_current_wal_flush_lsn() - r.replay_lsn,
                      extract(epoch FROM r.replay_lag) * 1000, extract(epoch FROM r.flush_lag) * 1000,
                      pg_current_wal_flush_lsn() - '0/0', r.pid::text,
                      pg_current_wal_insert_lsn() - r.replay_lsn
                 FROM pg_stat_replication r
                WHERE r.state IN ('streaming', 'catchup') AND r.replay_lsn IS NOT NULL
                  AND NOT EXISTS (SELECT FROM pg_replication_slots s
                                   WHERE s.active_pid = r.pid AND s.slot_type = 'logical'))");
        if (rows.empty()) {
            history.points.clear();
            history.values.clear();
            history.growth.clear();
            return std::nullopt;
        }
        const double written = rows.number(0, 6);
        const bool grows = history.points.empty() || written > history.points.back().value;
        if (grows) history.points.push_back({scene.now_ms, written});
        if (history.points.size() > longest_history) history.points.pop_front();

        std::optional<Reading> worst;
        bool behind = false;
        std::map<std::string, double> lags, growths;
        for (size_t row = 0; row < rows.size(); ++row) {
            const double bytes = std::max(rows.number(row, 3), 0.0);
            behind = behind || bytes > 0;
            double ms = age_ms(history, rows.number(row, 2), scene.now_ms);
            // Older than what this process has seen of the WAL.
            if (bytes > 0 && rows.number(row, 2) < history.points.front().value)
                ms = std::max(ms, rows.number(row, 4));
            const std::string sender = rows.text(row, 7);
            const auto last = history.values.find(sender);
            // What is not flushed yet will come to the standby as well.
            const double lag = rows.number(row, 8);
            const double growth = last == history.values.end() ? 0 : lag - last->second;
            lags[sender] = lag;
            growths[sender] = std::max({growth, growth_fades * history.growth[sender], 0.0});
            note(scene, rows, row, lag + growth_varies * growths[sender], ms, worst);
        }
        history.values = std::move(lags);
        history.growth = std::move(growths);
        if (behind && !grows && scene.now_ms - history.value > speak_after_ms) {
            kept_query("SELECT pg_logical_emit_message(false, 'zdm', '')");
            history.value = scene.now_ms;
        }
        return worst;
    }

  private:
    static void note(const Scene &scene, const Rows &rows, size_t row, double next_lag, double ms,
                     std::optional<Reading> &worst) {
        const Limits &limits = scene.limits;
        const std::string standby = rows.text(row, 0);
        const auto take = [&](double load, double stop_at, std::string text) {
            if (worst && worst->load >= load) return;
            worst = Reading{};
            worst->load = load;
            worst->stop_at = stop_at;
            worst->text = std::move(text);
        };
        if (limits.replica_lag_ms > 0)
            take(ms / limits.replica_lag_ms, stop_at_budgets,
                 fmt::format("replica lag {} of standby {} (zdm.max_replica_lag {})", in_time(ms),
                             standby, in_time(limits.replica_lag_ms)));
        if (limits.replica_lag_bytes > 0)
            take(next_lag / limits.replica_lag_bytes, stop_at_budgets,
                 fmt::format("replica lag {} of standby {} (zdm.max_replica_lag_size {})",
                             in_bytes(rows.number(row, 8)), standby,
                             in_bytes(limits.replica_lag_bytes)));
        const double flush_ms =
            rows.boolean(row, 1) && rows.number(row, 3) > 0 ? rows.number(row, 5) : 0;
        if (limits.replica_lag_ms > 0 && flush_ms > 0)
            take(flush_ms / (limits.replica_lag_ms * synchronous_share),
                 std::numeric_limits<double>::infinity(),
                 fmt::format("commits wait {} for synchronous standby {} (a tenth of "
                             "zdm.max_replica_lag {})",
                             in_time(flush_ms), standby, in_time(limits.replica_lag_ms)));
    }
} const replica_lag;

}  // namespace
}  // namespace zdm
