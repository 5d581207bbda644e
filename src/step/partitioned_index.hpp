#pragma once

#include <string>
#include <vector>

#include "state/migration.hpp"
#include "state/step.hpp"

namespace zdm {

// What is to be done for each partition that has no part of that index yet, as the partitions are
// at this moment. statement: CREATE INDEX for the partitioned table. As the table's owner: it plans
// the index's expressions.
std::vector<Step> partition_index_steps(const Migration &migration, const std::string &index,
                                        const std::string &statement);

}  // namespace zdm
