// A column that was NOT NULL before cutover, and was set free for the time of soak: a new
// application does not know it any more. Before it goes back the demand is proved, without a scan
// under lock.
#pragma once

#include <string>

#include "step/step.hpp"

namespace zdm {

// Name of the CHECK that is the proof, for the column's name of before cutover.
std::string not_null_proof_name(const Migration &migration, const std::string &column);

// Adds the proof and validates it; present: the column's name at this moment. Rows without a value
// are counted first, and raise ZD003: the check would fail the application's next ones.
Outcome prove_not_null_again(Turn &turn, const Step &step, const std::string &column,
                             const std::string &present);

}  // namespace zdm
