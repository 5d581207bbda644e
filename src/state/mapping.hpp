// Which columns of a table become which: the whole meaning of a migration for its sync trigger, its
// backfill and verify.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pg/bridge.h"
#include "state/migration.hpp"

namespace zdm {

enum class Side { old_side, new_side };

struct MappedColumn {
    std::string name;        // before cutover
    std::string soak_name;   // after it
    std::string type;        // as SQL text, with modifier
    std::string expression;  // canonical; fills this column from the other side; "" = none
    bool total = false;      // the expression never raises an error
    bool immutable = true;   // nor depends on a setting

    const std::string &current_name(bool soaking) const { return soaking ? soak_name : name; }
};

struct Mapping {
    std::vector<MappedColumn> old_columns;
    std::vector<MappedColumn> new_columns;

    // Each old column becomes one new column, which is computed from no other of them: what hangs
    // on the old ones can come along.
    bool is_paired() const;
    bool revertible() const;
    bool is_immutable() const;
    // Every value of the new side fits the old one: nothing written in soak can be lost by revert.
    bool reverse_is_total() const;
    // Both sides always hold the same: a rename.
    bool reverse_is_identity() const;
    // The old side cannot hold two equal values where the new one holds different ones: identities
    // or casts between integers. A unique index on the old columns may then stay during soak.
    bool reverse_is_injective() const;
    // Nor the new side where the old one holds different ones.
    bool forward_is_injective() const;
};

// Of one table: the migration as that table sees it (on_each_table).
Mapping load_mapping(const Migration &migration);
void insert_mapping(const Migration &migration, const Mapping &mapping);

// A column that has two names at this moment: of a rename that is under way. The application's
// writes are trusted by the first.
struct TwoNames {
    std::string leader, follower;
};
std::vector<TwoNames> renames_under_way(uint32_t relation);

// The arguments that the sync trigger and the page engine read (pg/engine.h says the format).
// Owns the strings that the plain C view points into.
class SyncArguments {
  public:
    SyncArguments(const Mapping &mapping, const Migration &migration, bool soaking);
    ZdmSyncArguments view() const { return {static_cast<int>(pointers_.size()), pointers_.data()}; }
    const std::vector<std::string> &values() const { return values_; }

  private:
    std::vector<std::string> values_;
    std::vector<const char *> pointers_;
};

}  // namespace zdm
