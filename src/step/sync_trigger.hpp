#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// Puts the sync trigger on the table, ENABLE ALWAYS (logical apply and session_replication_role =
// replica sync too), with a dependency on every mapped column. The new side is trusted where the
// columns have their soak names. ACCESS EXCLUSIVE is held by the caller.
void create_sync_trigger(const CarryScope &scope);
// A trigger names its columns in its arguments only; the application's DDL must learn of that.
void depend_on_columns(uint32_t relation, const std::string &trigger,
                       const std::vector<std::string> &columns);
void drop_sync_trigger(const CarryScope &scope);

// Whether it is there and fires always, on the table and on every partition.
bool sync_trigger_is_intact(const Migration &migration);

}  // namespace zdm
