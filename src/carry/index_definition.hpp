#pragma once

#include <cstdint>
#include <string>

#include "carry/carrier.hpp"
#include "state/index.hpp"

// In a statement: what stands behind a constraint's columns.
#define ZDM_TIMING_OF(constraint)                    \
    "CASE WHEN " constraint                          \
    ".condeferrable THEN ' DEFERRABLE' ELSE '' END " \
    "|| CASE WHEN " constraint ".condeferred THEN ' INITIALLY DEFERRED' ELSE '' END"

namespace zdm {

// CREATE INDEX CONCURRENTLY with everything that the index has (keys, expressions, operator classes
// and their options, collations, order, INCLUDE, NULLS NOT DISTINCT, predicate, storage parameters,
// tablespace), but over the columns of that side under those names, and itself under another name.
// Raises ZD004 where the new type has no operator class for it.
std::string index_definition(const CarryScope &scope, uint32_t index, const std::string &index_name,
                             Side side, Names names);

// The same for another table (a partition, whose columns have the same names) or ONLY one, and not
// always CONCURRENTLY.
struct IndexPlace {
    std::string index_name;
    std::string table;  // quoted, with ONLY where it is meant
    bool concurrently = true;
};
std::string index_definition(const CarryScope &scope, uint32_t index, const IndexPlace &place,
                             Side side, Names names);

bool makes_unique_index(const std::string &definition);
std::string without_unique(const std::string &definition);
// A transaction may hold duplicates for a moment under a deferrable key, which a unique index would
// refuse. So its counterpart is built as a plain index, and made unique at cutover, when no
// transaction is under way: as unique as the old one where no two values become one.
bool can_be_deferrable(const Mapping &mapping);
std::string building_index(const std::string &index);  // what plan and status call it
Step create_index_step(Phase phase, const std::string &index, const std::string &definition);
Step drop_index_step(const CarryScope &scope, Phase phase, const std::string &index);
// Whether the index, of the old side, can fail no write of the new one in soak: by an expression or
// a predicate that raises an error, by old values that are equal where the new ones are not.
bool can_stay_in_soak(const CarryScope &scope, uint32_t index);
// For the old side's index that is kept in soak, under its name of this moment: it makes no
// statement fail there (zdm_index_set_unique says why). Nothing where it is not UNIQUE.
void set_unique(const CarryScope &scope, const Carried &carried, const std::string &index,
                bool unique);
// The server keeps the columns' names of the moment at which an index was built: gives them those
// that the application knows. After the swap has renamed the columns; ACCESS EXCLUSIVE is held.
void name_index_columns(const std::vector<const CarryScope *> &scopes);
// In soak: of an index that is as it was put on, what was recorded; else what it would have been
// before cutover. Raises where the old side has kept another one that had its name.
Carried recorded_or_new(const CarryScope &scope, const Carried *recorded, bool is_same,
                        Carried present);
bool has_left_over(const CarryScope &scope, uint32_t relation, const std::string &index);
[[noreturn]] void refuse_replaced(const CarryScope &scope, uint32_t relation,
                                  const std::string &index);
// Attaches the parts (parts_of) of an index that was created ONLY, with their constraints, which
// the table's own then has as if it had made them. ACCESS EXCLUSIVE is held.
void attach_parts(const CarryScope &scope, const Carried &parent,
                  const std::vector<std::string> &carriers);
void detach_parts(uint32_t index);
// Raises where there is none any more.
Index index_there(const CarryScope &scope, uint32_t relation, const std::string &name);
void rename_index(const CarryScope &scope, const std::string &from, const std::string &to);

}  // namespace zdm
