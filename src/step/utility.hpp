// Statements that manage transactions themselves (CREATE INDEX CONCURRENTLY, ANALYZE ...), with
// none around them, shown in pg_stat_activity. The server itself switches to the table's owner for
// the owner's code.
#pragma once

#include <string>
#include <vector>

#include "state/index.hpp"
#include "step/step.hpp"

namespace zdm {

void run_utility(const std::string &sql);

// The same on tables that others use, by the mode that it will have there. Queues for them for at
// most zdm.lock_timeout; ended by an abort (step/interruptible.hpp) and by whoever waits for them
// (step/giving_way.hpp). 55P03 where it was not had or given way, saying to whom: try again.
void run_utility_on(Turn &turn, const std::vector<uint32_t> &relations, int mode,
                    const std::string &sql);

// Waits for all transactions that use its table.
void drop_index_concurrently(Turn &turn, const Index &index);

}  // namespace zdm
