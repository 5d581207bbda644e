// The row of zdm.pacing of a migration: how fast its pass goes, and what holds it back.
#pragma once

#include <optional>
#include <string>

#include "state/migration.hpp"

namespace zdm {

struct Pacing {
    double duty = 1;
    std::string level;         // none, slow, stop
    std::string signal;        // the name of the one that binds
    std::string throttled_by;  // in words, with its value
    std::string unreadable;    // signals that cannot be read, and why
};

std::optional<Pacing> load_pacing(const Migration &migration);
void save_pacing(const Migration &migration, const Pacing &pacing);
void forget_pacing(const Migration &migration);  // it has ended

}  // namespace zdm
