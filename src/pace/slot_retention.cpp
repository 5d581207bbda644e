// slot_retention: how much of max_slot_wal_keep_size a replication slot holds back. At its end the
// server throws the slot away, and the standby or subscriber with it; a slot that is lost already
// loses nothing more.
#include "pace/signal.hpp"

#include <algorithm>

#include "core/sql.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double stop_at_share = 0.9;

class SlotRetention final : public Signal {
  public:
    const char *name() const override { return "slot_retention"; }
    double period_ms() const override { return 1000; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        const double limit = scene.limits.slot_retention;
        if (limit <= 0) return std::nullopt;
        const Rows rows = kept_query(
            R"(SELECT format('%I', s.slot_name), 1 - s.safe_wal_size / k.bytes, k.bytes
                 FROM pg_replication_slots s,
                      (SELECT pg_size_bytes(current_setting('max_slot_wal_keep_size'))::float8 AS bytes) k
                WHERE k.bytes > 0 AND s.safe_wal_size IS NOT NULL AND s.wal_status <> 'lost'
                ORDER BY 2 DESC LIMIT 1)");
        if (rows.empty()) return std::nullopt;
        const double share = std::max(rows.number(0, 1), 0.0);
        Reading reading;
        reading.load = share / limit;
        reading.stop_at = std::max(stop_at_share, limit) / limit;
        reading.text = fmt::format(
            "replication slot {} holds {:.0f} % of max_slot_wal_keep_size {} "
            "(zdm.max_slot_retention "
            "{:.0f})",
            rows.text(0, 0), share * 100, in_bytes(rows.number(0, 2)), limit * 100);
        return reading;
    }
} const slot_retention;

}  // namespace
}  // namespace zdm
