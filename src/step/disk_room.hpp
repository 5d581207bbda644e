// Room for an index, asked for before it is built.
//
// A backfill goes bit by bit and stops when the disk gets full (pace/disk.cpp). An index is written
// in one go, and whoever else needs room meanwhile fails for the lack of it. So a build begins only
// where zdm.min_disk_free is left at its end, by an estimate from a sample of the rows.
#pragma once

#include <string>

#include "step/step.hpp"

namespace zdm {

// Finished where there is room, else a wait that says how much is missing, and for what: work is
// "Build index ...". create_sql is a CREATE INDEX statement for that relation. In a transaction of
// its own, as the owner.
Outcome room_for_index(Turn &turn, const Step &step, uint32_t relation,
                       const std::string &create_sql, const std::string &work);

}  // namespace zdm
