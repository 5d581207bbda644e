#pragma once

#include <cstdint>
#include <string>

#include "carry/carrier.hpp"

namespace zdm {

// CREATE INDEX CONCURRENTLY with everything that the index has (keys, expressions, operator classes
// and their options, collations, order, INCLUDE, NULLS NOT DISTINCT, predicate, storage parameters,
// tablespace), but over the columns of that side under those names, and itself under another name.
// Raises ZD004 where the new type has no operator class for it.
std::string index_definition(const CarryScope &scope, uint32_t index, const std::string &index_name,
                             Side side, Names names);

Step create_index_step(Phase phase, const std::string &index, const std::string &definition);
Step drop_index_step(const CarryScope &scope, Phase phase, const std::string &index);
void rename_index(const CarryScope &scope, const std::string &from, const std::string &to);

}  // namespace zdm
