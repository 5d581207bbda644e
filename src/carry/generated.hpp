// What the carrier of generated columns and its steps have to agree on.
#pragma once

#include <string>

#include "state/step.hpp"

namespace zdm {

// Reads every row once. object: the column.
constexpr const char *compare_generated_step = "compare_generated";
// Builds an index of the rows that differ, which must be none. object: the index.
constexpr const char *guard_generated_step = "guard_generated";

// Of either: what holds for a row that differs, with the columns' names of its time.
std::string condition_of_generated(const Step &step);

}  // namespace zdm
