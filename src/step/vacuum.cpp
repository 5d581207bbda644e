#include "step/vacuum.hpp"

#include <algorithm>

#include "state/index.hpp"
#include "step/interruptible.hpp"
#include "step/pass.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A leaf that was filled in order has a tenth of its room left for new entries.
constexpr double due_share = 0.04;
// What is moved after the last VACUUM is left to the table's own: not worth one of ours before the
// end.
constexpr double left_share = 0.06;

// False: somebody else has the table (an autovacuum, maybe). Ended where somebody waits for it, or
// the migration is to be aborted. Then the next time is soon enough.
bool vacuum(const Scan &scan, double duty, bool beside_others) {
    bool locked = false;
    std::string table;
    try {
        in_transaction([&] {
            // Under the name of now.
            table = quoted_relation(scan.relation).value_or(scan.relation_name);
            check(zdm_vacuum_begin(scan.relation, duty, beside_others, &locked));
        });
        if (locked)
            run_utility(fmt::format(
                "VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF, PROCESS_TOAST OFF, PARALLEL 0) {}",
                table));
    } catch (Error &error) {
        if (locked) check(zdm_vacuum_end(scan.relation));
        if (error.sqlstate() != sqlstate::query_canceled) throw;
        return locked;
    }
    if (locked) check(zdm_vacuum_end(scan.relation));
    return locked;
}

}  // namespace

VacuumLook vacuum_if_due(Turn &turn, const Scan &scan) {
    bool due = false;
    int64_t due_at = 0, moved_rows = 0;
    in_turn(turn, [&] {
        const MovedRows moved = moved_since_vacuum(turn.migration, scan);
        due_at = std::max(least_moved_to_vacuum, static_cast<int64_t>(due_share * moved.of_rows));
        moved_rows = moved.rows;
        due = moved_rows >= due_at && moved.rows + moved.to_come > left_share * moved.of_rows;
        if (due) note_vacuum(scan, moved);
    });
    const double duty = turn.pacer.duty(turn.settings);
    if (!due) return {false, std::max(due_at - moved_rows, least_moved_to_vacuum)};
    // Until the next box says otherwise.
    note_slowness(turn, fmt::format("vacuums {} between two boxes", scan.relation_name));
    const bool vacuumed =
        interruptible(turn, [&] { return vacuum(scan, duty, turn.pacer.beside_others()); });
    return {vacuumed, due_at};
}

}  // namespace zdm
