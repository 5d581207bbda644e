#include "pace/wal_budget.hpp"

#include <algorithm>
#include <cmath>

#include "core/no_postgres.hpp"

namespace zdm {

// Unused budget is kept this long: enough for boxes of unequal size, too short for a burst.
constexpr double kept_ms = 100;
constexpr double mean_ms = 2000;

void WalBudget::spend(double now_ms, uint64_t wal_bytes, int processes, double bytes_per_second) {
    const double spent = at_ms_ > 0 ? static_cast<double>(wal_bytes - wal_bytes_) * processes : 0;
    const double passed_ms = at_ms_ > 0 ? std::max(now_ms - at_ms_, 0.001) : 0;
    at_ms_ = now_ms;
    wal_bytes_ = wal_bytes;
    if (passed_ms > 0)
        rate_ += (1 - std::exp(-passed_ms / mean_ms)) * (spent / passed_ms * 1000 - rate_);
    if (limit_ != bytes_per_second) left_ = 0;  // a new limit does not collect old debts
    limit_ = bytes_per_second;
    if (limit_ <= 0) return;
    left_ = std::min(left_ + limit_ * passed_ms / 1000, limit_ * kept_ms / 1000) - spent;
}

double WalBudget::pause_ms() const { return limit_ > 0 && left_ < 0 ? -left_ / limit_ * 1000 : 0; }

}  // namespace zdm
