#include "step/concurrent_build.hpp"

#include "carry/index_definition.hpp"
#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "step/disk_room.hpp"
#include "step/pass.hpp"
#include "step/public_text.hpp"
#include "step/utility.hpp"
#include "step/violation.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// For a lock that is not had at once the error of a build that has just failed would be forgotten,
// so it is dropped in about ten seconds.
constexpr int attempts_to_drop = 50;
constexpr int64_t pause_to_drop_ms = 200;

std::optional<Index> find_in_turn(Turn &turn, const ConcurrentBuild &build) {
    std::optional<Index> index;
    in_turn(turn, [&] { index = find_index(build.table, build.name); });
    return index;
}

void drop_half_built(Turn &turn, const Index &index) {
    note_slowness(turn,
                  "drops what is left of the last attempt, after all transactions that use "
                  "the table have ended");
    drop_index_concurrently(turn, index);
}

void drop_failed(Turn &turn, const Index &index) {
    for (int attempt = 1;; ++attempt) {
        try {
            return drop_index_concurrently(turn, index);
        } catch (Error &error) {
            if (!error.is_lost_lock() || attempt == attempts_to_drop) throw;
        }
        check(zdm_sleep(pause_to_drop_ms));
    }
}

// What is left after others were given the table, or after an interruption, the next attempt takes
// away, or the undoing.
bool is_verdict(const Error &error) { return !error.is_lost_lock() && !error.is_interruption(); }

void clean_up_after(Turn &turn, const ConcurrentBuild &build, const Error &error) {
    const auto index = find_in_turn(turn, build);
    if (!index || index->valid) return;
    note_slowness(turn, fmt::format("{}; drops what it has left, after all transactions that use "
                                    "the table have ended",
                                    public_text(turn.migration, error)));
    try {
        drop_failed(turn, *index);
    } catch (Error &second) {
        if (!is_for_good(second)) throw;
        raise_both(turn.migration, error, "what it has left cannot be dropped", second);
    }
}

void run_build(Turn &turn, const ConcurrentBuild &build) {
    // It waits for every transaction that is older, and cannot say so while it does.
    note_slowness(turn, build.says + ", after all older transactions have ended");
    try {
        run_utility_on(turn, {build.table}, ZDM_SHARE_UPDATE_EXCLUSIVE, build.create_sql);
    } catch (Error &error) {
        if (!is_verdict(error)) throw;
        clean_up_after(turn, build, error);
        if (error.sqlstate() == sqlstate::unique_violation && makes_unique_index(build.create_sql))
            raise_duplicates(turn, build.table, build.create_sql);
        throw;
    }
}

}  // namespace

Outcome build_concurrently(Turn &turn, const Step &step, const ConcurrentBuild &build) {
    const auto index = find_in_turn(turn, build);
    if (!index || !index->valid) {
        if (index) drop_half_built(turn, *index);
        const Outcome room = room_for_index(turn, step, build.table, build.create_sql, build.says);
        if (!room.is_done()) return room;
        run_build(turn, build);
    }
    // What an attempt before may have listed; also where the worker was killed after the build.
    if (makes_unique_index(build.create_sql))
        in_turn(turn, [&] { resolve_discrepancies(turn.migration); });
    return Outcome::finished();
}

}  // namespace zdm
