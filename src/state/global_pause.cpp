#include "state/global_pause.hpp"

#include "state/event.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

bool everything_is_paused() { return !catalog("SELECT FROM zdm.global_pause").empty(); }

bool pause_everything() {
    const bool changed = !catalog(
                              "INSERT INTO zdm.global_pause DEFAULT VALUES "
                              "ON CONFLICT DO NOTHING RETURNING 1")
                              .empty();
    if (changed) record_event({}, "pause_all", "");
    return changed;
}

bool resume_everything() {
    const bool changed = !catalog("DELETE FROM zdm.global_pause RETURNING 1").empty();
    if (changed) record_event({}, "resume_all", "");
    return changed;
}

}  // namespace zdm
