// What is put up for a revert to prove that the old side fits again (Carrier::proof_of_old), and
// could fail the application's writes: it comes down where the revert does not take place.
#pragma once

#include <functional>

#include "step/step.hpp"

namespace zdm {

bool has_proofs(const Migration &migration);  // of what is recorded as carried

// Under ACCESS EXCLUSIVE.
void withdraw_proofs(const Migration &migration);

// Of a revert: where body fails for good, proofs come down before that is said.
Outcome or_withdraw_proofs(Turn &turn, const Step &step, const std::function<Outcome()> &body);

}  // namespace zdm
