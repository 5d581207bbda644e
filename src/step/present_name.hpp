#pragma once

#include <cstdint>
#include <string>

#include "state/step.hpp"

namespace zdm {

// The statement of a step (ALTER TABLE ..., CREATE INDEX ..., ANALYZE ...) for its table under the
// name of now. The plan was written under the name of then: since, the table may have been renamed
// or moved to another schema, and another one may have got its name. A table that is gone keeps it.
std::string under_present_name(const Step &step, uint32_t relation);

}  // namespace zdm
