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

// In soak: takes in what has come since cutover, such as with partitions that were attached, and
// leaves out what is there no more. Whether that has changed anything.
bool renew_in_soak(const Migration &migration);

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

// What of an earlier plan was built, or begun, and is no longer wanted; what refers to others
// first. The same tables in both.
std::vector<Step> withdraw_steps(const std::vector<CarriedTable> &before,
                                 const std::vector<CarriedTable> &now);

}  // namespace zdm
