// VACUUM in the course of a backfill. A row that is moved to another page leaves a dead entry in
// every index, and a tiny one a line pointer: taken away in time, before the leaves split for the
// new entries, an index does not grow.
#pragma once

#include <cstdint>

#include "state/scan.hpp"
#include "step/step.hpp"

namespace zdm {

// It takes some ms on the smallest table.
constexpr int64_t least_moved_to_vacuum = 1000;

struct VacuumLook {
    bool vacuumed = false;         // some of it at least
    int64_t next_after_moved = 0;  // so many rows more it is worth another look
};

// Between two boxes, in no transaction: where enough rows have been moved since the last time.
// Takes SHARE UPDATE EXCLUSIVE only where it is free, and lets go as soon as anybody waits for the
// table.
VacuumLook vacuum_if_due(Turn &turn, const Scan &scan);

}  // namespace zdm
