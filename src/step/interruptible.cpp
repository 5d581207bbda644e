#include "step/interruptible.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr int64_t lock_class = 2053401902;  // beside the worker's identity
constexpr int64_t keys = int64_t{1} << 31;

int64_t lock_key(const Migration &migration) { return migration.id % keys; }

}  // namespace

// Anybody can take an advisory lock, so it is never waited for.
bool interruption::mark(const Migration &migration) {
    bool marked = false;
    in_transaction([&] {
        marked = query("SELECT pg_try_advisory_lock($1::integer, $2::integer)",
                       {lock_class, lock_key(migration)})
                     .boolean(0, 0);
    });
    return marked;
}

void interruption::unmark(const Migration &migration, bool marked) {
    if (!marked) return;
    in_transaction([&] {
        query("SELECT pg_advisory_unlock($1::integer, $2::integer)",
              {lock_class, lock_key(migration)});
    });
}

void interrupt_aborted() {
    query(R"(SELECT pg_cancel_backend(l.pid)
               FROM pg_locks l JOIN zdm.migration m ON m.id % $2::bigint = l.objid::bigint
              WHERE l.pid = zdm.worker_pid() AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = $1::bigint::oid
                AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                AND m.target = 'aborted' AND m.phase <> 'aborted')",
          {lock_class, keys});
}

}  // namespace zdm
