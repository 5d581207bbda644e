// A long statement gives way: who has waited for about twice zdm.lock_timeout for a lock that it
// has on a table ends it, and it begins again. ANALYZE and DDL do so, and the application's
// statements that stand behind them; a VACUUM waits (pg/give_way.c).
#pragma once

#include <string>
#include <vector>

#include "step/step.hpp"

namespace zdm {

// What the statement holds, or will, while it runs. The name: "schema.table".
struct Held {
    ZdmHeld lock;
    std::string name;
};

// In a transaction.
std::vector<Held> held_on(const std::vector<uint32_t> &relations, int mode);

namespace giving {
void begin(const Turn &turn, const std::vector<Held> &held);
ZdmWaiter end();  // whom the statement was cancelled for
[[noreturn]] void raise_gave_way(const Turn &turn, const std::vector<Held> &held,
                                 const ZdmWaiter &waiter);
}  // namespace giving

// Raises 55P03 where body was ended for somebody else. Not within another one.
template <typename Body>
auto giving_way(const Turn &turn, const std::vector<Held> &held, Body &&body) {
    giving::begin(turn, held);
    try {
        auto result = body();
        giving::end();
        return result;
    } catch (Error &error) {
        const ZdmWaiter waiter = giving::end();
        if (waiter.pid != 0 && error.sqlstate() == sqlstate::query_canceled)
            giving::raise_gave_way(turn, held, waiter);
        throw;
    } catch (...) {
        giving::end();
        throw;
    }
}

}  // namespace zdm
