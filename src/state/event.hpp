#pragma once

#include <string>
#include <utility>
#include <vector>

#include "state/migration.hpp"

namespace zdm {

// Appends to zdm.event and notifies channel zdm with the same as JSON, both at commit.
void record_event(const Migration &migration, const std::string &event, const std::string &phase,
                  const std::vector<std::pair<std::string, std::string>> &detail = {});

}  // namespace zdm
