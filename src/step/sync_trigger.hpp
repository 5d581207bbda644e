#pragma once

#include "carry/carrier.hpp"

namespace zdm {

// Puts the sync trigger on the table, ENABLE ALWAYS (logical apply and session_replication_role =
// replica sync too), with a dependency on every column that it maps or reads. The new side is
// trusted where the columns have their soak names. ACCESS EXCLUSIVE is held by the caller.
void create_sync_trigger(const CarryScope &scope);
// A trigger names its columns in its arguments only; the application's DDL must learn of that.
void depend_on_columns(uint32_t relation, const std::string &trigger,
                       const std::vector<std::string> &columns);
// By us, so that what goes with it (see below) stays.
void drop_sync_trigger(const CarryScope &scope);

// A CHECK on a column that only the trigger fills: whoever else drops that (DROP EXTENSION ...
// CASCADE, DROP COLUMN ... CASCADE of one that an expression reads) takes it along, on the table
// and its partitions; no INSERT would pass one that proves NOT NULL. A partition that is detached
// keeps it, or it could not be attached again.
void go_with_sync_trigger(const Migration &migration, const std::string &constraint);

// Whether it is there and fires always, on the table and on every partition.
bool sync_trigger_is_intact(const Migration &migration);
bool sync_triggers_are_intact(const Migration &migration);  // of each of its tables

// Somebody else's BEFORE trigger, of the table or of a partition, that would fire after the sync
// trigger (row triggers fire in the byte order of their names): what it changes is out of sync.
Text trigger_behind_sync(uint32_t relation);

// Why writes of this moment may not be kept in sync though the trigger is there: such a trigger, or
// an expression that reads a column which has another name by now; "" = they are.
std::string why_out_of_sync(const CarryScope &scope);

}  // namespace zdm
