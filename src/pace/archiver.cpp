// archiver: WAL segments that wait to be archived. They stay on disk until they are.
#include "pace/signal.hpp"

#include <algorithm>

#include "core/sql.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr double stop_at_budgets = 5;

class Archiver final : public Signal {
  public:
    const char *name() const override { return "archiver"; }
    double period_ms() const override { return 1000; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        const double limit = scene.limits.archive_backlog;
        if (limit <= 0) return std::nullopt;
        const Rows rows = kept_query(
            R"(SELECT (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
                      coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
                 FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off')");
        if (rows.empty()) return std::nullopt;
        const double waiting = rows.number(0, 0);
        const bool fails = rows.boolean(0, 1) && waiting > 0;
        Reading reading;
        reading.load = std::max(waiting / limit, fails ? 1.0 : 0.0);
        reading.stop_at = stop_at_budgets;
        reading.text =
            fmt::format("{}: {:.0f} WAL segments wait (zdm.max_archive_backlog {:.0f})",
                        fails ? "archiving fails" : "the archiver is behind", waiting, limit);
        return reading;
    }
} const archiver;

}  // namespace
}  // namespace zdm
