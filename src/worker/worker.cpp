// The worker: one per database, started on demand, gone when there is nothing to do (an idle
// connection would be in the way of DROP DATABASE). All that it knows is in zdm's tables, so being
// killed is nothing special.
//
// Its identity is a claim (pg/claim.c). The way out is a race with those who start a migration:
// they commit, then start a worker, which finds the claim taken and leaves. So the last look for
// work comes after the claim was given back: whoever committed before that look is seen by it, and
// whoever commits later finds it free.
#include "worker/worker.h"

#include <algorithm>
#include <map>

#include "core/boundary.hpp"
#include "state/global_pause.hpp"
#include "step/interruptible.hpp"
#include "worker/advance.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

bool take_identity() {
    bool taken = false;
    in_transaction([&] {
        check(zdm_claim(ZDM_CLAIM_WORKER, 0, &taken));
        // Tell the one who has it that there is news.
        if (!taken) {
            interrupt_aborted();
            const Rows rows = query("SELECT zdm.worker_pid()");
            if (rows.null_text(0, 0)) check(zdm_set_latch(static_cast<int>(rows.integer(0, 0))));
        }
    });
    return taken;
}

void give_identity_back() {
    in_transaction([&] { check(zdm_claim_release(ZDM_CLAIM_WORKER, 0)); });
}

bool extension_is_here() {
    bool here = false;
    in_transaction([&] {
        here = query("SELECT to_regclass('zdm.migration') IS NOT NULL AND NOT pg_is_in_recovery()")
                   .boolean(0, 0);
    });
    return here;
}

std::vector<Migration> migrations_with_work() {
    std::vector<Migration> migrations;
    in_transaction([&] {
        if (!everything_is_paused()) migrations = unfinished_migrations();
    });
    migrations.erase(
        std::remove_if(migrations.begin(), migrations.end(),
                       [](const Migration &migration) { return !migration.has_work(); }),
        migrations.end());
    return migrations;
}

// A waiting migration is looked at again at the latest after this long; SQL calls set the latch.
constexpr int64_t longest_sleep_ms = 1000;

void work_until_nothing_is_left() {
    std::map<int64_t, double> not_before_ms;  // by migration: when its pause ends
    std::map<int64_t, Pacer> pacers;
    for (;;) {
        if (!extension_is_here() || !take_identity()) return;
        const auto migrations = migrations_with_work();
        if (migrations.empty()) return;

        bool worked = false;
        double next_ms = zdm_now_ms() + longest_sleep_ms;
        for (const auto &migration : migrations) {
            const auto pause = not_before_ms.find(migration.id);
            // A new target, or a resume, does not wait for an old pause.
            const bool waits = pause != not_before_ms.end() && pause->second > zdm_now_ms() &&
                               migration.state == "waiting";
            if (!waits) {
                const int64_t pause_ms =
                    advance(migration, migrations.size() == 1, pacers[migration.id]);
                not_before_ms[migration.id] = zdm_now_ms() + static_cast<double>(pause_ms);
                worked = true;
            }
            next_ms = std::min(next_ms, not_before_ms[migration.id]);
        }
        check(zdm_check_interrupts());
        if (!worked) {
            check(zdm_report_activity(nullptr));
            check(zdm_sleep(std::max<int64_t>(1, static_cast<int64_t>(next_ms - zdm_now_ms()))));
        }
    }
}

}  // namespace

}  // namespace zdm

using namespace zdm;

ErrorData *zdm_worker_run(void) noexcept {
    return boundary([] {
        if (!extension_is_here()) return;
        try {
            while (take_identity()) {
                work_until_nothing_is_left();
                give_identity_back();
                if (!extension_is_here() || migrations_with_work().empty()) return;
            }
        } catch (Error &error) {
            // Dropped beside us, between two statements: that is no failure.
            if (error.is_interruption() || extension_is_here()) throw;
        }
    });
}
