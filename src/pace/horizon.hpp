#pragma once

#include <optional>
#include <string>

namespace zdm {

// Who keeps dead rows from being pruned, in words, and for how many transactions.
struct OldestSnapshot {
    std::string holder;
    double age = 0;
};

std::optional<OldestSnapshot> oldest_snapshot();

}  // namespace zdm
