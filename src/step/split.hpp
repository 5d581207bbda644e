// The two tables of a split: the source, and the part that gets some of its columns and its key.
// What the steps have in common: who they are at this moment, and the triggers between them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "state/mapping.hpp"
#include "state/migration.hpp"

namespace zdm {

struct Split {
    Migration source, part;  // the migration as each of them sees it
    std::string source_table, part_table;
    std::vector<std::string> key_names, column_names;
    std::vector<std::string> operators;  // OPERATOR(schema.=) by key
    std::vector<std::string> demanded;   // of the columns: NOT NULL in the part
    std::string trigger;                 // name of the triggers between them
    bool was_cut_over = false;  // an application that knows the part may have deleted rows of it

    // "s.a = n.a AND ..." for two aliases.
    std::string same_key(const char *left, const char *right) const;
    // "s.a, s.b" of the key and the columns, or of one of them.
    std::string all_names(const char *prefix) const;
    std::string keys(const char *prefix) const;
    std::string columns(const char *prefix) const;
    // The columns of two rows differ, in any byte.
    std::string differ(const char *left, const char *right) const;
    // A row of the source that the part can hold.
    std::string storable(const char *alias) const;
    // It has something that the part must know of.
    std::string has_values(const char *alias) const;
};

// The table that the split makes, as the migration sees it; nothing before expand.
std::optional<Migration> part_of(const Migration &migration);

// Raises 42P01 where one of the tables is gone.
Split load_split(const Migration &migration, const Mapping &mapping);

// On both tables, firing always; in the place of those that are there. SHARE ROW EXCLUSIVE on both
// is held by the caller, to drop them ACCESS EXCLUSIVE.
void create_mirror(const Split &split, bool trusts_part);
void drop_mirror(const Migration &migration);
// Raises where a trigger is missing or does not fire always: the tables may have parted since.
void check_mirror(const Split &split);

// How many blocks the next box takes, as the last one went; never many more than that.
uint32_t blocks_that_fit(uint32_t last, double worked_ms, double box_ms);

// For the rest of the transaction: a few blocks' rows find their counterparts by the key's index,
// whatever the statistics of a table that was empty a moment ago make of it.
void join_by_key();

// Counts the rows that the two tables do not agree on, each once, and writes some of them down.
struct SplitCheck {
    const Migration *heap;    // the source's or the part's
    std::string first, last;  // tids: first <= ctid < last
    int limit;
};
struct SplitFinding {
    int64_t rows = 0;
    int64_t discrepancies = 0;
};
SplitFinding check_rows(const Split &split, const SplitCheck &what);

// In the caller's session: a pass over both tables, and the repair of what it has written down.
int64_t verify_split(const Split &split, int limit);
int64_t repair_split(const Split &split);

}  // namespace zdm
