// Rows that the old columns cannot hold: written in soak, their new side has a value and their old
// side is NULL because reverse failed or there is none. While there are any, revert would lose
// them.
#pragma once

#include "carry/carrier.hpp"
#include "step/step.hpp"

namespace zdm {

// 0 at once where reverse fits every value. Else a scan, or instant with the index.
int64_t count_unfit(const CarryScope &scope);

// Raises ZD003 with the count and what to do; nothing where it is 0.
void raise_unfit(const Migration &migration, int64_t count);

// A partial index over such rows, one for each partition, empty where all is well. Only between the
// wish to revert and the revert: it makes updates of the columns non-HOT.
std::vector<Step> unfit_index_steps(const CarryScope &scope);
void drop_unfit_indexes(const CarryScope &scope);

}  // namespace zdm
