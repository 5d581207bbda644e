// Writes down what holds a pass back: in zdm.pacing for status, in zdm.event for later. Only
// changes, and those not too often.
#pragma once

#include <string>

#include "pace/throttle.hpp"
#include "state/migration.hpp"

namespace zdm {

class ThrottleLog {
  public:
    // In a transaction.
    void note(const Migration &migration, const Throttle &throttle, double duty,
              const std::string &unreadable, double now_ms);
    // It has committed.
    void keep() { kept_ = noted_; }

  private:
    struct State {
        Throttle row;
        double row_duty = 0;
        std::string unreadable;
        double row_ms = 0;  // 0: nothing is written yet
        Throttle seen;      // since seen_ms
        double seen_ms = 0;
        Throttle event;
        double event_ms = 0;
    };
    State kept_, noted_;
};

}  // namespace zdm
