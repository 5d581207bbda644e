// A change of type for which the server touches no row.
#pragma once

#include <string>

#include "step/step.hpp"

namespace zdm {

// Whether a plain ALTER under those settings (as Migration::evaluation, "" = the session's) writes,
// reads and builds nothing that is as large as the table or a partition of it.
bool alter_type_is_short(uint32_t relation, const std::string &column, const ZdmType &type,
                         const std::string &settings = "");

}  // namespace zdm
