// Every name that zdm gives to an object of a user's table, in one place. All begin with zdm_ (or
// ~zdm_), so that schema tools can be told to leave them alone, and none passes 63 bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace zdm {

std::string new_column_name(const std::string &column);  // zdm_new_<column>
std::string old_column_name(const std::string &column);  // zdm_old_<column>

// ~ sorts behind every letter: row triggers fire in name order, and a user's BEFORE trigger may
// still change the old column.
std::string sync_trigger_name(int64_t migration);  // ~zdm_sync_<id>

// Counterparts of indexes and constraints, one migration apart from another.
std::string new_object_name(int64_t migration, const std::string &object);  // zdm_<id>_new_<object>
std::string old_object_name(int64_t migration, const std::string &object);  // zdm_<id>_old_<object>

// An index of a split's source, as its counterpart of the part is called: with the part's name in
// the place of the source's, or in front.
std::string part_object_name(const std::string &source, const std::string &part,
                             const std::string &object);

// The migration whose counterpart (new) or kept original (old) an object is, by its name; empty for
// the application's own objects.
struct ObjectOfMigration {
    int64_t migration = 0;
    bool is_new = false;
};
std::optional<ObjectOfMigration> object_of_migration(const std::string &name);

}  // namespace zdm
