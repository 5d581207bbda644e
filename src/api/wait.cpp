// zdm.wait: polls in transactions of its own. A function would hold a snapshot while it waits, and
// CREATE INDEX CONCURRENTLY in the worker waits for that snapshot: neither would ever end.
#include "api/api.h"
#include "api/common.hpp"

#include <algorithm>

#include "core/boundary.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

bool reached(const Migration &migration, Phase wanted) {
    const bool aborting = migration.target == Phase::aborted;
    if (migration.phase == wanted) return aborting == (wanted == Phase::aborted);
    if (wanted == Phase::aborted || migration.phase == Phase::aborted) return false;
    // On the way back a phase counts when it is reached, not because it lies behind.
    return migration.phase > wanted && migration.target >= migration.phase;
}

void check_can_be_reached(const Migration &migration, Phase wanted) {
    if (migration.state == "failed")
        raise(migration.error_code.empty() ? sqlstate::wrong_phase : migration.error_code.c_str(),
              {}, "{}", migration.message);
    const bool aborting = migration.target == Phase::aborted;
    if (aborting == (wanted == Phase::aborted)) return;
    raise(sqlstate::wrong_phase, {}, "{} will not reach phase {}: it is {}; CALL zdm.wait({}, {})",
          described(migration), to_string(wanted),
          aborting ? "aborted"
                   : fmt::format("in phase {}, target {}", to_string(migration.phase),
                                 to_string(migration.target)),
          Literal(migration.name), Literal(to_string(migration.target)));
}

void check_not_ours(const Migration &migration) {
    const Rows rows = catalog(R"(SELECT started_xid = pg_current_xact_id_if_assigned()
                                   FROM zdm.migration WHERE id = $1::bigint)",
                              {migration.id});
    if (rows.boolean(0, 0))
        raise(sqlstate::same_transaction, {},
              "{} was started in this transaction, which the worker cannot see before it commits; "
              "commit first, and call zdm.wait in a later deploy or outside of a transaction",
              described(migration));
}

// It goes on by itself as far as its target, unless somebody has stopped it.
std::string what_to_do(const Migration &migration, Phase wanted, bool paused,
                       const std::string &next_action) {
    if (paused) return fmt::format("it stands still until {}", next_action);
    if (migration.target >= wanted) return "it goes on, look at zdm.status and wait again";
    return fmt::format(
        "it goes no further than phase {} until SELECT zdm.{}({})", to_string(migration.target),
        migration.target < Phase::soak ? "cutover" : "contract", Literal(migration.name));
}

[[noreturn]] void raise_timed_out(const Migration &migration, Phase wanted, int seconds) {
    const Rows rows = catalog(
        "SELECT round(progress * 100), state, message, next_action FROM zdm.status WHERE name = $1 "
        "ORDER BY started_at DESC LIMIT 1",
        {migration.name});
    raise(sqlstate::timed_out, {},
          "{} did not reach phase {} within {} s: it is in phase {} ({} %), {}{}{}; {}",
          described(migration), to_string(wanted), seconds, to_string(migration.phase),
          rows.text(0, 0), rows.text(0, 1), rows.text(0, 2).empty() ? "" : ": ", rows.text(0, 2),
          what_to_do(migration, wanted, rows.text(0, 1) == "paused", rows.text(0, 3)));
}

// Whoever waits also sees to it that somebody works, at start and every now and then.
constexpr double launch_every_ms = 5000;

void launch_if_none_works(const Migration &migration, double &next_launch_ms) {
    if (!migration.has_work() || zdm_now_ms() < next_launch_ms) return;
    next_launch_ms = zdm_now_ms() + launch_every_ms;
    if (query("SELECT zdm.worker_pid()").null_text(0, 0)) return;
    bool launched = false;
    check(zdm_worker_launch_here(&launched));
}

}  // namespace

}  // namespace zdm

using namespace zdm;

ErrorData *zdm_api_wait(const char *name, const char *phase, bool has_timeout, int timeout_seconds,
                        bool atomic) noexcept {
    return boundary([&] {
        const Phase wanted = phase_named(phase);
        const double deadline_ms = zdm_now_ms() + timeout_seconds * 1000.0;
        double next_launch_ms = zdm_now_ms() + 200;
        int64_t pause_ms = 5;
        for (;;) {
            {
                const Migration migration = migration_to_look_at(name);
                if (reached(migration, wanted)) return;
                check_not_ours(migration);
                check_can_be_reached(migration, wanted);
                if (atomic)
                    raise(
                        "2D000", {},
                        "{} is not in phase {} yet, and zdm.wait cannot wait inside a transaction: "
                        "CALL zdm.wait alone, outside of a transaction block",
                        described(migration), to_string(wanted));
                if (has_timeout && zdm_now_ms() >= deadline_ms)
                    raise_timed_out(migration, wanted, timeout_seconds);
                launch_if_none_works(migration, next_launch_ms);
            }
            check(zdm_procedure_commit());
            check(zdm_sleep(pause_ms));
            pause_ms = std::min<int64_t>(pause_ms * 2, 200);
        }
    });
}
