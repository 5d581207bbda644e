#include "step/interruptible.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// The number that a claim has room for.
uint32_t claim_number(const Migration &migration) { return static_cast<uint32_t>(migration.id); }

}  // namespace

bool interruption::mark(const Migration &migration) {
    bool marked = false;
    // What an abort itself does is not to be cancelled for its sake.
    if (migration.target == Phase::aborted) return false;
    in_transaction([&] { check(zdm_claim(ZDM_CLAIM_LONG, claim_number(migration), &marked)); });
    return marked;
}

void interruption::unmark(const Migration &migration, bool marked) {
    if (!marked) return;
    in_transaction([&] { check(zdm_claim_release(ZDM_CLAIM_LONG, claim_number(migration))); });
}

void interrupt_aborted() {
    query(R"(SELECT pg_cancel_backend(c.pid)
               FROM zdm.claim c JOIN zdm.migration m ON m.id % 4294967296 = c.number
              WHERE c.pid = zdm.worker_pid() AND c.what = 'long statement'
                AND m.target = 'aborted' AND m.phase <> 'aborted')");
}

}  // namespace zdm
