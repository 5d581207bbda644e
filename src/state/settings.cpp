#include "state/settings.hpp"

#include <cstdlib>

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// Until feedback decides: half of the time leaves the other half to the load.
constexpr double auto_duty = 0.5;

double duty_of(const std::string &pace) {
    if (pace == "auto") return auto_duty;
    if (pace == "full") return 1;
    return std::strtod(pace.c_str(), nullptr);
}

}  // namespace

Settings apply_settings(const Migration &migration) {
    for (const auto &setting : migration.settings) {
        const size_t equals = setting.find('=');
        check(zdm_setting_override(setting.substr(0, equals).c_str(),
                                   setting.substr(equals + 1).c_str(), true));
    }
    const ZdmSettings now = zdm_settings();
    return {now.lock_timeout_ms,  now.batch_time_ms,    duty_of(now.pace),
            now.min_soak_seconds, now.wait_for_horizon, now.verify_limit};
}

}  // namespace zdm
