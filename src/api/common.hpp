#pragma once

#include <string>

#include "state/migration.hpp"

namespace zdm {

// The latest migration of that name, its row locked until the caller's transaction ends, for a
// caller who may steer it. Raises 42704 (none of that name), 42501 (not the table's owner), 25006
// (standby).
Migration migration_to_steer(const std::string &name);

// The same without lock, for looking: anybody may.
Migration migration_to_look_at(const std::string &name);

void check_owner(const Migration &migration);

// What stands between a migration that is ready and its cutover where rows differ.
std::string difference(const Migration &migration, size_t rows);

// A result that lives in the caller's memory.
const char *returned(const std::string &text);

}  // namespace zdm
