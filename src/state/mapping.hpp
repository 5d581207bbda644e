// Which columns become which: the whole meaning of a migration for the sync trigger, the backfill
// and verify.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pg/bridge.h"
#include "state/migration.hpp"

namespace zdm {

struct MappedColumn {
    std::string name;        // before cutover
    std::string soak_name;   // after it
    std::string type;        // as SQL text, with modifier
    std::string expression;  // canonical; fills this column from the other side; "" = none
    bool total = false;      // the expression never raises an error

    const std::string &current_name(bool soaking) const { return soaking ? soak_name : name; }
};

struct Mapping {
    std::vector<MappedColumn> old_columns;
    std::vector<MappedColumn> new_columns;

    // One column becomes one: what hangs on the old one can come along.
    bool is_pair() const { return old_columns.size() == 1 && new_columns.size() == 1; }
    bool revertible() const;
    // Every value of the new side fits the old one: nothing written in soak can be lost by revert.
    bool reverse_is_total() const;
    // The old side cannot hold two equal values where the new one holds different ones: an identity
    // or a cast between integers. A unique index on the old column may then stay during soak.
    bool reverse_is_injective() const;
};

Mapping load_mapping(int64_t migration);
void insert_mapping(int64_t migration, const Mapping &mapping);

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
