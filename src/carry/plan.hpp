// The steps that follow from what hangs on the columns.
#pragma once

#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

// Everything behind the survey: build, verify, cutover, contract.
std::vector<Step> steps_after_survey(const CarryScope &scope, const std::vector<Carried> &carried);

// Takes down counterparts whose original is gone or has changed since they were planned.
std::vector<Step> withdraw_steps(const CarryScope &scope, const std::vector<Carried> &before,
                                 const std::vector<Carried> &now);

}  // namespace zdm
