// CREATE INDEX CONCURRENTLY, as a step does it: again and again, whatever has come between.
//
// It waits for old transactions, but behind SHARE UPDATE EXCLUSIVE, which no reader or writer
// queues for. An interrupted build leaves an invalid index, which may already refuse writes that
// break a unique one: it is dropped before the next attempt, and at once where the build failed
// (but not where it was given up for others, who have the table then).
#pragma once

#include <cstdint>
#include <string>

#include "step/step.hpp"

namespace zdm {

struct ConcurrentBuild {
    uint32_t table = 0;
    std::string name;        // an unfinished index of that name there is ours
    std::string create_sql;  // CREATE [UNIQUE] INDEX CONCURRENTLY name ON table
    std::string says;        // "Build index ...": to status, while it waits for room or goes on
};

// In transactions of its own. Finished: there is a valid one, and no rows that share a key are
// listed any more; else a wait for room on the disk. 55P03 where the table was not had or given
// way: try again. 23505 with the rows that share their keys in zdm.discrepancy.
Outcome build_concurrently(Turn &turn, const Step &step, const ConcurrentBuild &build);

}  // namespace zdm
