// backfill: copy the rows that existed before expand, in place, page by page (src/hot has the page
// engine). Whatever is written after expand is in sync already, so the bound is the size that each
// heap had right after it.
//
// Asynchronous commit is safe: rows and cursor are of one transaction, so a crash loses both or
// neither. The engine's own place inside a window is memory only; after a crash or an error it
// begins again at the saved cursor and passes rows in sync for free.
#include <algorithm>

#include "state/unsynced_write.hpp"
#include "step/backfill.hpp"
#include "step/lock.hpp"
#include "step/pass.hpp"
#include "step/vacuum.hpp"
#include "step/sync_trigger.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// Owns the engine's state for one heap.
class Engine {
  public:
    Engine(const Scan &scan, const SyncArguments &arguments) {
        check(zdm_backfill_open(scan.relation, scan.relfilenode, arguments.view(), scan.next_block,
                                scan.blocks, static_cast<int>(scan.busy_blocks.size()),
                                scan.busy_blocks.data(), &backfill_));
    }
    ~Engine() { zdm_backfill_close(backfill_); }
    Engine(const Engine &) = delete;
    Engine &operator=(const Engine &) = delete;

    ZdmBackfillReport run(double box_ms, const Settings &settings) {
        ZdmBackfillReport report{};
        check(zdm_backfill_run(backfill_, static_cast<int64_t>(box_ms * 1000),
                               settings.wait_for_horizon, &report));
        return report;
    }

    void vacuumed() { zdm_backfill_vacuumed(backfill_); }

  private:
    ZdmBackfill *backfill_ = nullptr;
};

// Pauses of a pass that others hold up: 1 ms, and twice as long each time that they still do.
class Patience {
  public:
    // Only rows were left that somebody holds, for a few pauses by now.
    bool has_ended() const { return held_ms_ > longest_held_ms; }

    void wait(const ZdmBackfillReport &report) {
        if (report.only_held_left) {
            check(zdm_sleep(held_ms_));
            held_ms_ *= 2;
        }
        if (report.idle) {
            check(zdm_sleep(idle_ms_));
            idle_ms_ = std::min(2 * idle_ms_, longest_idle_ms);
        } else if (report.rows_hot + report.rows_moved > 0) {
            idle_ms_ = 1;
        }
        if (report.waited_for) check(zdm_sleep(1));
    }

  private:
    // Holders decide how long that takes. Under a busy load most rows are free a moment later;
    // after that status speaks of waiting, and others get their turn.
    static constexpr int64_t longest_held_ms = 64;
    // What was killed cannot be pruned yet: other snapshots are a little older than that, and most
    // of them are gone in a moment.
    static constexpr int64_t longest_idle_ms = 16;

    int64_t held_ms_ = 1;
    int64_t idle_ms_ = 1;
};

constexpr int64_t longest_busy_pause_ms = 1000;

constexpr int64_t other_backfill_pause_ms = 250;

constexpr int64_t helpers_pause_ms = 50;

// A helper that would have to queue for the table leaves; the worker starts another one.
constexpr double helper_lock_ms = 1;

// How often the worker looks whether there are as many helpers as there may be.
constexpr double recruit_ms = 1000;

class Backfill final : public StepKind {
  public:
    const char *name() const override { return "backfill"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Scan> scan;
        std::string other;
        int64_t helpers = 0, open = 0;
        bool finished = false;
        in_turn(turn, [&] {
            other = other_backfill(turn.migration);
            if (!other.empty()) return;
            if (turn.migration.phase < Phase::backfill) set_phase(turn.migration, Phase::backfill);
            refresh_scans(turn.migration, name());
            scan = claim_scan(turn.migration, name());
            helpers = other_helpers(turn.migration, name());
            if (scan && turn.settings.max_workers > 1) {
                divide_scan(*scan, turn.settings.max_workers - static_cast<int>(helpers));
                open = open_scans(turn.migration, name());
            }
            finished = !scan && !next_scan(turn.migration, name());
            // Only after a last look at the partitions, in this same snapshot.
            if (finished) set_step_state(turn.migration, step, "done");
        });
        if (!other.empty())
            return Outcome::wait(fmt::format("waits for the backfill of migration \"{}\", which is "
                                             "under way on the same table",
                                             other),
                                 other_backfill_pause_ms);
        if (finished) return Outcome::finished();
        if (!scan)
            return Outcome::stand(fmt::format("{} helper{} at work on the last blocks", helpers,
                                              helpers == 1 ? " is" : "s are"),
                                  helpers_pause_ms);
        turn.processes = 1 + static_cast<int>(helpers);
        launch_helpers(turn, open);
        return run_claimed(turn, *scan, step.attempts);
    }

    // Range after range, until there is none that nobody works on.
    static void help(Turn &turn) {
        for (;;) {
            std::optional<Scan> scan;
            in_turn(turn, [&] {
                // Settings may be new since this turn began; what they say is looked at here, and
                // they are news only once.
                turn.refresh();
                turn.settings = apply_settings(turn.migration);
                if (is_wanted(turn) &&
                    other_helpers(turn.migration, "backfill") + 2 <= turn.settings.max_workers)
                    scan = claim_scan(turn.migration, "backfill");
            });
            if (!scan) return;
            const Outcome outcome = run_claimed(turn, *scan, 0);
            if (outcome.pause_ms > 0) check(zdm_sleep(outcome.pause_ms));
        }
    }

  private:
    // One for each open range that nobody works on, which helpers see only after its commit.
    // Without a free slot of max_worker_processes there are fewer; we come to their ranges
    // ourselves.
    static void launch_helpers(Turn &turn, int64_t open) {
        while (turn.processes < std::min<int64_t>(turn.settings.max_workers, open)) {
            bool launched = false;
            check(zdm_helper_launch_here(turn.migration.id, &launched));
            if (!launched) return;
            ++turn.processes;
        }
    }

    // Some have come to the end of their ranges, or have left for another setting. False: there are
    // no free ranges, so what is left of ours is to be divided.
    static bool recruit(Turn &turn, const Scan &scan) {
        int64_t helpers = 0, open = 0;
        in_turn(turn, [&] {
            helpers = other_helpers(turn.migration, "backfill");
            open = open_scans(turn.migration, "backfill");
        });
        turn.processes = 1 + static_cast<int>(helpers);
        if (turn.processes >= turn.settings.max_workers) return true;
        if (open <= turn.processes) return !is_divisible(scan);
        launch_helpers(turn, open);
        return true;
    }

    static Outcome run_claimed(Turn &turn, const Scan &scan, int attempts) {
        Outcome outcome;
        try {
            outcome = run_heap(turn, scan, attempts);
        } catch (...) {
            in_transaction([&] { release_claim(scan); });
            throw;
        }
        in_transaction([&] { release_claim(scan); });
        return outcome;
    }

    // While a helper was in a pause its migration may have been aborted, and another one begun on
    // the same column: the new column has the same name again, and another expression. Under this
    // lock nobody can take the columns away, so what is_wanted says holds until the box ends.
    static bool may_write(Turn &turn, const Scan &scan) {
        check(zdm_lock_relations(1, &scan.relation, ZDM_ROW_EXCLUSIVE, helper_lock_ms));
        return is_wanted(turn);
    }

    static Outcome run_heap(Turn &turn, Scan scan, int attempts) {
        const SyncArguments arguments(turn.mapping, turn.migration, false);
        Engine engine(scan, arguments);
        ScanProgress progress;
        double busy_ms = 0;
        Patience patience;
        int64_t moved_to_look = least_moved_to_vacuum;
        const double began_ms = zdm_now_ms();
        double saved_ms = began_ms, recruited_ms = began_ms;
        double looked_ms = -save_every_ms;  // the turns of many migrations are short
        int64_t moved = 0;                  // since it was looked whether a vacuum is due
        const std::string activity = fmt::format("zdm backfill of {}, blocks {} to {}",
                                                 scan.relation_name, scan.first_block, scan.blocks);
        check(zdm_report_activity(activity.c_str()));
        ZdmBackfillReport report{};
        bool has_run = false;
        for (;;) {
            if (const auto wait = held_back(turn, scan)) {
                // What the last boxes have done is committed, so the next run begins where they
                // ended; also where all that they did was to pass by rows that were done already.
                if (has_run) in_turn(turn, [&] { save(turn, scan, report, progress); });
                return *wait;
            }
            bool called_off = false, unchanged = true, yield = false, held = false, look = false;
            std::string slow;
            const double box_ms = turn.pacer.begin_box(turn.settings);
            in_turn(turn, [&] {
                if (turn.helps && !may_write(turn, scan)) {
                    called_off = true;
                    if (has_run) save(turn, scan, report, progress);
                    return;
                }
                report = {};
                has_run = true;
                check(zdm_setting_override("synchronous_commit", "off", true));
                {
                    OwnerScope as_owner(turn.migration.owner);
                    report = engine.run(turn.pacer.box_ms(turn.settings), turn.settings);
                }
                progress.rows += report.rows_hot + report.rows_moved;
                progress.rows_hot += report.rows_hot;
                progress.rows_moved += report.rows_moved;
                moved += report.rows_moved;
                unchanged = turn.refresh();
                yield = !unchanged || (!turn.alone && zdm_now_ms() - began_ms > turn_ms);
                if (report.horizon_stuck)
                    slow = fmt::format("{} keeps dead rows from being pruned: {}", horizon_holder(),
                                       turn.settings.wait_for_horizon
                                           ? "waiting for it to end (zdm.wait_for_horizon)"
                                           : "writing rows out of place");
                held = report.only_held_left && patience.has_ended();
                const double now_ms = zdm_now_ms();
                // VACUUM tells the free space map of the room that is left for the rows of a page
                // half done: movers would take it. (That of helpers' pages it tells.)
                look = !turn.helps && report.between_windows &&
                       (moved >= moved_to_look || now_ms - looked_ms > save_every_ms);
                // Whatever ends this run must leave the cursor where it has come to: begun again
                // before the last windows, it would find their rows done and the same blocks busy.
                if (report.done || report.rewritten || yield || held ||
                    now_ms - saved_ms > save_every_ms || look) {
                    progress.busy_seconds = (busy_ms + now_ms - box_ms) / 1000;
                    progress.done = report.done;
                    save(turn, scan, report, progress);
                    // Verify comes after us and looks at all rows; until then they would pile up.
                    if (!turn.helps) forget_unsynced_writes(turn.migration);
                    progress = {};
                    busy_ms = -(now_ms - box_ms);
                    saved_ms = now_ms;
                }
            });
            if (called_off) return Outcome::more();
            busy_ms += turn.pacer.end_box();
            note_slowness(turn, slow);
            if (report.rewritten || report.done || !unchanged) return Outcome::more();
            if (look) {
                const VacuumLook vacuum = vacuum_if_due(turn, scan);
                check(zdm_report_activity(activity.c_str()));
                if (vacuum.vacuumed) engine.vacuumed();
                moved_to_look = vacuum.next_after_moved;
                moved = 0;
                looked_ms = zdm_now_ms();
            }
            if (yield) return Outcome::more();
            if ((turn.settings.max_workers > 1 || turn.processes > 1) && !turn.helps &&
                zdm_now_ms() - recruited_ms > recruit_ms) {
                recruited_ms = zdm_now_ms();
                if (!recruit(turn, scan)) {
                    in_turn(turn, [&] { save(turn, scan, report, progress); });
                    return Outcome::more();
                }
            }
            if (held)
                return Outcome::wait(
                    fmt::format("waits for rows of {} that others are writing", scan.relation_name),
                    std::min(retry_pause_ms(attempts), longest_busy_pause_ms));
            patience.wait(report);
            busy_ms += pace(turn, {report.rows_hot + report.rows_moved, report.waited_for});
        }
    }

    static void save(const Turn &turn, Scan &scan, const ZdmBackfillReport &report,
                     const ScanProgress &progress) {
        if (report.rewritten) return;  // refresh_scans starts this heap anew
        scan.next_block = report.first_unfinished_block;
        scan.busy_blocks.assign(report.busy_blocks, report.busy_blocks + report.busy_block_count);
        save_scan(turn.migration, scan, progress);
    }
} const backfill;

}  // namespace

void help_backfill(Turn &turn) { Backfill::help(turn); }

}  // namespace zdm
