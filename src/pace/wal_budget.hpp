// zdm.max_wal_rate: a bucket of bytes that fills at that rate and that each box empties by what it
// wrote. The only signal that needs no control law: the pause follows from the debt.
#pragma once

#include <cstdint>

namespace zdm {

class WalBudget {
  public:
    // After a box. wal_bytes: what this process has written so far; each of processes writes as
    // much at the expense of the same budget.
    void spend(double now_ms, uint64_t wal_bytes, int processes, double bytes_per_second);
    // How long to wait until the debt is paid.
    double pause_ms() const;
    double rate() const { return rate_; }  // bytes/s of all, mean of the last seconds

  private:
    double left_ = 0;  // bytes; negative: a debt
    double limit_ = 0;
    double at_ms_ = 0;
    uint64_t wal_bytes_ = 0;
    double rate_ = 0;
};

}  // namespace zdm
