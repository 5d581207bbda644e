// How long something has taken.
#pragma once

extern "C" {
#include "postgres.h"

#include "portability/instr_time.h"
}

namespace zdm {

inline int64 us_since(instr_time start) {
    instr_time now;
    INSTR_TIME_SET_CURRENT(now);
    INSTR_TIME_SUBTRACT(now, start);
    return static_cast<int64>(INSTR_TIME_GET_MICROSEC(now));
}

}  // namespace zdm
