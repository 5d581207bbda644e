// What the carrier of exclusion constraints and its steps have to agree on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "carry/carrier.hpp"

// Carried::timing of a constraint, in a statement: the operators, and what stands behind them.
#define ZDM_EXCLUSION_TIMING_OF(constraint) \
    "array_to_string(" constraint ".conexclop, ' ') || " ZDM_TIMING_OF(constraint)

namespace zdm {

// object: the index, which is valid, and the constraint that it becomes. The second compares all
// rows, whether the constraint is there already or not.
constexpr const char *enforce_exclusion_step = "enforce_exclusion";
constexpr const char *validate_exclusion_step = "validate_exclusion";

// One for each key; for the types of the old columns.
std::vector<uint32_t> exclusion_operators(const Carried &carried);

// A plain index becomes the exclusion constraint of its name. ACCESS EXCLUSIVE is held.
void make_exclusion(const CarryScope &scope, const Carried &carried, const std::string &index);

}  // namespace zdm
