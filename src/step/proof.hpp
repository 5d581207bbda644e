// What is put up for a revert to prove that the old side fits again, and could fail the
// application's writes: it comes down where the revert does not take place.
#pragma once

#include "carry/carrier.hpp"

namespace zdm {

bool is_proof(const Step &part);  // of a carrier's reinstate()

bool stands(const Step &proof);  // with the table that it is on

// Under ACCESS EXCLUSIVE. Nothing where it is not there.
void withdraw_proof(const CarryScope &scope, const Step &proof);

}  // namespace zdm
