#include "step/utility.hpp"

#include "core/error.hpp"
#include "step/giving_way.hpp"
#include "step/interruptible.hpp"
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

void unlock(const std::vector<uint32_t> &relations, int mode) {
    for (const uint32_t relation : relations) check(zdm_unlock_for_session(relation, mode));
}

[[noreturn]] void raise_held(Turn &turn, uint32_t relation, int mode) {
    std::string holder;
    in_turn(turn, [&] { holder = table_holder(relation, mode); });
    raise(sqlstate::lock_not_available, {}, "waits for a lock: {}",
          holder.empty() ? "busy" : holder);
}

// What was locked before one that is not had is unlocked by the transaction's abort.
std::vector<Held> lock(Turn &turn, const std::vector<uint32_t> &relations, int mode) {
    uint32_t asked_for = 0;
    std::vector<Held> held;
    try {
        in_turn(turn, [&] {
            held = held_on(relations, mode);
            const double deadline_ms = zdm_now_ms() + turn.settings.lock_timeout_ms;
            for (const uint32_t relation : relations) {
                asked_for = relation;
                check(zdm_lock_for_session(relation, mode, deadline_ms - zdm_now_ms()));
            }
        });
    } catch (Error &error) {
        if (!error.is_lost_lock() || asked_for == 0) throw;
        raise_held(turn, asked_for, mode);
    }
    return held;
}

}  // namespace

void run_utility(const std::string &sql) {
    check(zdm_report_activity(sql.c_str()));
    try {
        check(zdm_run_utility(sql.c_str()));
    } catch (...) {
        check(zdm_transaction_abort());
        throw;
    }
}

void run_utility_on(Turn &turn, const std::vector<uint32_t> &relations, int mode,
                    const std::string &sql) {
    const auto held = lock(turn, relations, mode);
    try {
        interruptible(turn, [&] {
            return giving_way(turn, held, [&] {
                run_utility(sql);
                return true;
            });
        });
    } catch (...) {
        unlock(relations, mode);
        throw;
    }
    unlock(relations, mode);
}

void drop_index_concurrently(Turn &turn, const Index &index) {
    run_utility_on(turn, {index.relation, index.oid}, ZDM_SHARE_UPDATE_EXCLUSIVE,
                   fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}", index.quoted));
}

}  // namespace zdm
