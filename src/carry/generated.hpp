// What the carrier of generated columns and its steps have to agree on.
#pragma once

#include <string>

#include "carry/carrier.hpp"
#include "state/step.hpp"

namespace zdm {

// Reads every row once. object: the column; related: the partition, where it is about one.
constexpr const char *compare_generated_step = "compare_generated";
// Builds an index of the rows that differ, which must be none. object: the index.
constexpr const char *guard_generated_step = "guard_generated";

// What old_object_name and new_object_name make that index's name of.
std::string guard_name(const Carried &carried);

// Before the other side is dropped: what reads it, because it has come since all others were given
// another expression (a partition that was attached), reads that side at a rename. Else raises
// ZD004. Under ACCESS EXCLUSIVE.
void let_generated_read(const CarryScope &scope, Side stays);

// Of either: what holds for a row that differs, with the columns' names of its time.
std::string condition_of_generated(const Step &step);

}  // namespace zdm
