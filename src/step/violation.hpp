// Rows of a table that stand against a constraint or a unique index: found by a query of their own
// after the server has refused, because its message names one row at most.
#pragma once

#include "step/step.hpp"

namespace zdm {

struct Violations {
    int64_t count = 0;  // of those that were stored
    bool more = false;  // there are more than zdm.verify_limit

    // "4 rows": everybody reads it, and their keys are user data.
    std::string in_words() const;
};

// As SQL: what names a row in zdm.discrepancy, the columns of its primary key or its place.
std::string row_key(uint32_t relation, const std::string &qualifier = "");
// The same of given columns. Their values are texts, as verify writes them (hot/describe.hpp),
// which is what can be read into any type again.
std::string row_key(const std::vector<std::string> &columns, const std::string &qualifier);

// select reads the table and gives relation (oid), key (jsonb) and value (text); it runs as the
// table's owner, and what it finds is written to zdm.discrepancy in the place of what earlier
// attempts found. In the caller's transaction; gives way (step/giving_way.hpp).
Violations record_violations(Turn &turn, uint32_t table, const std::string &select,
                             const std::string &expected);

// Why a unique index could not be built, by its statement: ZdmIndexDefinition's keys. In
// transactions of its own.
[[noreturn]] void raise_duplicates(Turn &turn, uint32_t table, const std::string &statement);

// What the last attempt has written there.
Violations recorded_violations(Turn &turn);

}  // namespace zdm
