// Steps that are about the migration's table or one partition of it (Step::related).
#pragma once

#include "step/step.hpp"

namespace zdm {

uint32_t table_of(const Turn &turn, const Step &step);

// A partition may be dropped or detached at any time; then there is nothing to do for it any more.
bool is_still_part(const Turn &turn, const Step &step);

}  // namespace zdm
