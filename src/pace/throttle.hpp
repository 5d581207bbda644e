#pragma once

#include <string>

namespace zdm {

// Why a pass is slow or stands, as status shows it.
struct Throttle {
    enum class Level { none, slow, stop };
    Level level = Level::none;
    std::string signal = {};  // its name
    std::string text = {};    // in words, with its value and limit

    bool same_reason(const Throttle &other) const {
        return level == other.level && signal == other.signal;
    }
};

}  // namespace zdm
