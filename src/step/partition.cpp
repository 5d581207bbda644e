#include "step/partition.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

uint32_t table_of(const Turn &turn, const Step &step) {
    return step.related != 0 ? step.related : turn.migration.relation;
}

bool is_still_part(const Turn &turn, const Step &step) {
    if (step.related == 0) return true;
    return !query("SELECT FROM pg_partition_tree($1::oid::regclass) WHERE relid = $2::oid",
                  {turn.migration.relation, step.related})
                .empty();
}

}  // namespace zdm
