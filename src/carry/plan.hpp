// The part of a mapping's plan that depends on what hangs on the old columns. Survey makes it anew
// where that has changed.
#pragma once

#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

// A table of the migration with what hangs on its old columns.
struct CarriedTable {
    CarryScope scope;
    std::vector<Carried> carried;
};

std::vector<CarriedTable> carried_tables(const Migration &migration);  // as it was recorded

// What was recorded, without what was on partitions that are the table's no more: dropped, or
// detached with all that they have.
std::vector<Carried> still_carried(const CarryScope &scope);

// It was one when what hangs on its columns was recorded.
bool is_no_partition_any_more(const Migration &migration, uint32_t relation);

// In soak: the tables of which something has come, was changed or dropped since cutover, with what
// there is now. To be recorded when what the old side was proved by has come down, which what is
// recorded tells (step/proof.hpp).
std::vector<CarriedTable> changed_in_soak(const Migration &migration);
void record_carried(const std::vector<CarriedTable> &tables);

// In the order of the carriers' ranks over all tables: a foreign key comes after the index that it
// refers to.
struct CarriedOn {
    const CarryScope *scope;
    const Carried *carried;
    const Carrier *carrier;
};
std::vector<CarriedOn> in_rank_order(const std::vector<CarriedTable> &tables);

// All steps behind the survey: build, verify, swap, contract.
std::vector<Step> steps_after_survey(const std::vector<CarriedTable> &tables);

// The first step of contract, which drops nothing, and the last.
constexpr const char *before_contract_step = "before_contract";
constexpr const char *contract_step = "contract";

// The online half of a revert: what makes the old side fit to take over again.
std::vector<Step> reinstate_steps(const std::vector<CarriedTable> &tables);

// What of an earlier plan was built, or begun, and is no longer wanted; what refers to others
// first. The same tables in both.
std::vector<Step> withdraw_steps(const std::vector<CarriedTable> &before,
                                 const std::vector<CarriedTable> &now);

}  // namespace zdm
