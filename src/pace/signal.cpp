#include "pace/signal.hpp"

#include <algorithm>
#include <string_view>

#include "core/no_postgres.hpp"

namespace zdm {

const Signal *Signal::first_ = nullptr;

std::vector<const Signal *> Signal::all() {
    std::vector<const Signal *> signals;
    for (const Signal *signal = first_; signal != nullptr; signal = signal->next_)
        signals.push_back(signal);
    std::sort(signals.begin(), signals.end(), [](const Signal *left, const Signal *right) {
        return std::string_view(left->name()) < right->name();
    });
    return signals;
}

std::string in_bytes(double bytes) {
    constexpr const char *units[] = {"B", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; ++unit) bytes /= 1024;
    return fmt::format("{:.{}f} {}", bytes, bytes < 10 && unit > 0 ? 1 : 0, units[unit]);
}

}  // namespace zdm
