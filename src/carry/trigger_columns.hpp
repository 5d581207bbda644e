// UPDATE OF triggers of a column that has two names: whichever the application sets, they fire. So
// from build until contract they are triggers of both columns.
#pragma once

#include <string>

#include "carry/carrier.hpp"

namespace zdm {

// Of every rename of the table that is under way, with the copies in partitions. partition: whose
// own trigger it is; 0: the table's.
void widen_trigger(const CarryScope &scope, uint32_t partition, const std::string &trigger);
// Of this migration's columns only those of that side stay.
void narrow_trigger(const CarryScope &scope, uint32_t partition, const std::string &trigger,
                    Side stays);

constexpr const char *widen_trigger_step = "widen_trigger";
constexpr const char *narrow_trigger_step = "narrow_trigger";

}  // namespace zdm
