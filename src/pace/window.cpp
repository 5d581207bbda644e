// window: the time of day in which a pass may run, in the server's time zone.
#include "core/sql.hpp"
#include "pace/signal.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr int day_minutes = 24 * 60;

// The setting was checked when it was set: two times of day.
int minutes_at(const std::string &window, size_t place) {
    return std::stoi(window.substr(place, 2)) * 60 + std::stoi(window.substr(place + 3, 2));
}

class Window final : public Signal {
  public:
    const char *name() const override { return "window"; }
    double period_ms() const override { return 500; }

    std::optional<Reading> measure(const Scene &scene, History &) const override {
        const std::string &window = scene.limits.window;
        if (window.empty()) return std::nullopt;
        const int from = minutes_at(window, 0), to = minutes_at(window, 6);
        const int now = static_cast<int>(
            kept_query("SELECT extract(hour FROM clock_timestamp()) * 60 + extract(minute FROM "
                       "clock_timestamp())")
                .integer(0, 0));
        const auto since = [](int minute, int start) {
            return (minute - start + day_minutes) % day_minutes;
        };
        if (since(now, from) < since(to, from)) return Reading{};
        const int left = since(from, now);
        Reading reading;
        reading.load = 1;
        reading.stop_at = 1;
        reading.text = fmt::format("outside of zdm.window {} until {} (in {} h {:02} min)", window,
                                   window.substr(0, 5), left / 60, left % 60);
        return reading;
    }
} const window;

}  // namespace
}  // namespace zdm
