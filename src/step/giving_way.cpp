#include "step/giving_way.hpp"

#include <algorithm>

#include "core/sql.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// An attempt of zdm's own (another migration's cutover, say) is over by then.
constexpr int lock_timeouts_of_patience = 2;

}  // namespace

std::vector<Held> held_on(const std::vector<uint32_t> &relations, int mode) {
    const Rows rows = query(
        R"(SELECT c.oid, format('%I.%I', n.nspname, c.relname)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = ANY (string_to_array($1, ' ')::oid[]))",
        {fmt::format("{}", fmt::join(relations, " "))});
    std::vector<Held> held;
    for (size_t row = 0; row < rows.size(); ++row)
        held.push_back({{rows.oid(row, 0), mode}, rows.text(row, 1)});
    return held;
}

void giving::begin(const Turn &turn, const std::vector<Held> &held) {
    std::vector<ZdmHeld> locks;
    for (const auto &one : held) locks.push_back(one.lock);
    check(zdm_give_way_begin(static_cast<int>(locks.size()), locks.data(),
                             lock_timeouts_of_patience * turn.settings.lock_timeout_ms));
}

ZdmWaiter giving::end() {
    ZdmWaiter waiter;
    check(zdm_give_way_end(&waiter));
    return waiter;
}

void giving::raise_gave_way(const Turn &turn, const std::vector<Held> &held,
                            const ZdmWaiter &waiter) {
    const auto of_waiter = [&](const Held &one) { return one.lock.relation == waiter.relation; };
    const auto awaited = std::find_if(held.begin(), held.end(), of_waiter);
    raise(sqlstate::lock_not_available, {}, "gave way to pid {}, which waited for {} on {}",
          waiter.pid, zdm_lock_mode_name(waiter.mode),
          awaited == held.end() ? turn.migration.relation_name : awaited->name);
}

}  // namespace zdm
