#include "pace/throttle_log.hpp"

#include <cmath>

#include "state/event.hpp"
#include "state/pacing.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// The same reason with another value is worth a write only so often, another reason sooner.
constexpr double value_every_ms = 5000;
constexpr double reason_every_ms = 1000;
// By so much of it: others have come to share the work, or have left.
constexpr double another_duty = 0.1;
// What comes and goes is no event.
constexpr double event_after_ms = 2000;
constexpr double event_every_ms = 5000;

const char *level_name(Throttle::Level level) {
    constexpr const char *names[] = {"none", "slow", "stop"};
    return names[static_cast<int>(level)];
}

}  // namespace

void ThrottleLog::note(const Migration &migration, const Throttle &throttle, double duty,
                       const std::string &unreadable, double now_ms) {
    noted_ = kept_;
    if (!throttle.same_reason(noted_.seen)) noted_.seen_ms = now_ms;
    noted_.seen = throttle;

    const bool same = throttle.same_reason(noted_.row) && unreadable == noted_.unreadable;
    const bool stops = throttle.level == Throttle::Level::stop && !same;
    const double quiet_ms = stops || noted_.row_ms == 0 ? 0
                            : same                      ? value_every_ms
                                                        : reason_every_ms;
    const bool is_news = !same || throttle.text != noted_.row.text || noted_.row_ms == 0 ||
                         std::abs(duty - noted_.row_duty) > another_duty * noted_.row_duty;
    if (is_news && now_ms - noted_.row_ms >= quiet_ms) {
        save_pacing(migration,
                    {duty, level_name(throttle.level), throttle.signal, throttle.text, unreadable});
        noted_.row = throttle;
        noted_.row_duty = duty;
        noted_.unreadable = unreadable;
        noted_.row_ms = now_ms;
    }

    if (throttle.same_reason(noted_.event) || now_ms - noted_.seen_ms < event_after_ms ||
        now_ms - noted_.event_ms < event_every_ms)
        return;
    record_event(migration, "throttle", to_string(migration.phase),
                 {{"level", level_name(throttle.level)},
                  {"signal", throttle.signal},
                  {"throttled_by", throttle.text}});
    noted_.event = throttle;
    noted_.event_ms = now_ms;
}

}  // namespace zdm
