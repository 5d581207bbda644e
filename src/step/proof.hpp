// What is put up for a revert to prove that the old side fits again (Carrier::proof_of_old).
#pragma once

#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

// Of what is recorded as carried.
std::vector<Proof> standing_proofs(const Migration &migration);

// Takes them down. Under ACCESS EXCLUSIVE.
void withdraw_proofs(const Migration &migration);

}  // namespace zdm
