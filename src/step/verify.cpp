// verify: a full pass that counts rows whose two sides are not consistent. Old and new live in one
// tuple, so one snapshot sees both: no retries, no false alarms.
//
// Counters, cursor and discrepancies are of one transaction. A pass that a crash interrupted goes
// on where it was; one that found something begins anew.
#include "state/discrepancy.hpp"
#include "state/unsynced_write.hpp"
#include "step/pass.hpp"
#include "step/sync_trigger.hpp"
#include "step/verify.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Verify final : public StepKind {
  public:
    const char *name() const override { return "verify"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Scan> scan;
        int64_t discrepancies = 0;
        bool new_heaps = false;
        in_turn(turn, [&] {
            if (step.state != "running") {
                delete_scans(turn.migration, name());
                resolve_discrepancies(turn.migration);
                // Their rows are seen by the boxes of this pass, whose snapshots come later.
                forget_unsynced_writes(turn.migration);
            }
            if (turn.migration.phase < Phase::verify) set_phase(turn.migration, Phase::verify);
            if (!sync_trigger_is_intact(turn.migration)) raise_trigger(turn.migration);
            const std::string why = why_out_of_sync(carry_scope(turn.migration, turn.mapping));
            if (!why.empty())
                raise(sqlstate::not_ready, {}, "{}: {}, then SELECT zdm.resume({})",
                      described(turn.migration), why, Literal(turn.migration.name));
            // A partition that was attached since has rows that nobody has copied.
            new_heaps = refresh_scans(turn.migration, "backfill") > 0;
            if (new_heaps) return;
            refresh_scans(turn.migration, name());
            scan = next_scan(turn.migration, name());
            if (scan) return;
            discrepancies = scan_discrepancies(turn.migration);
            if (discrepancies == 0) set_step_state(turn.migration, step, "done");
        });
        if (new_heaps)
            return Outcome::back_to(
                ordinal_of_backfill(turn),
                "a partition was attached or rewritten: its rows are copied first");
        if (scan) return run_heap(turn, *scan);
        if (discrepancies > 0) raise_discrepancies(turn.migration, discrepancies);
        return Outcome::finished();
    }

    // What follows a cutover keeps both sides equal as what comes before it does, so heaps are
    // looked at again only where the sync trigger was away, or has left a note. A note that comes
    // while a pass is under way does not begin it anew: it has another one follow, where this one
    // finds nothing.
    static Outcome run_again(Turn &turn, std::optional<Side> given_up) {
        const Migration &migration = turn.migration;
        std::optional<Scan> scan;
        int64_t lost = 0;
        in_turn(turn, [&] {
            const bool noted = has_unsynced_writes(migration, given_up);
            if (!noted && unverified_heap(migration, given_up).empty()) return;
            if (refresh_scans(migration, "verify") > 0) resolve_discrepancies(migration);
            scan = next_scan(migration, "verify");
            if (scan) return;
            lost = scan_discrepancies(migration, given_up);
            delete_differing_scans(migration, given_up);
            if (lost > 0 || !noted) return;
            resolve_discrepancies(migration);
            delete_scans(migration, "verify");
            forget_unsynced_writes(migration);
            refresh_scans(migration, "verify");
            scan = next_scan(migration, "verify");
        });
        if (scan)
            return run_heap(turn, *scan,
                            "verifies rows that may have been written to one side alone");
        if (lost > 0) raise_lost(migration, lost, given_up);
        return Outcome::finished();
    }

  private:
    static int ordinal_of_backfill(Turn &turn) {
        int ordinal = 0;
        in_turn(turn, [&] { ordinal = ordinal_of(turn.migration, "backfill"); });
        return ordinal;
    }

    static Outcome run_heap(Turn &turn, Scan scan, const std::string &why = "") {
        const SyncArguments arguments(turn.mapping, turn.migration, turn.migration.soaking());
        const double began_ms = zdm_now_ms();
        check(zdm_report_activity(fmt::format("zdm verify of {}", scan.relation_name).c_str()));
        double slept_ms = 0;
        for (;;) {
            if (const auto wait = held_back(turn, scan)) return *wait;
            ZdmVerifyReport report{};
            bool yield = false;
            const double box_ms = turn.pacer.begin_box(turn.settings);
            in_turn(turn, [&] {
                {
                    OwnerScope as_owner(turn.migration.owner);
                    check(zdm_verify_run(
                        scan.relation, scan.relfilenode, arguments.view(), scan.next_block,
                        scan.blocks, static_cast<int64_t>(turn.pacer.box_ms(turn.settings) * 1000),
                        turn.settings.verify_limit, &report));
                }
                yield = !turn.refresh() || (!turn.alone && zdm_now_ms() - began_ms > turn_ms);
                if (report.rewritten) return;  // refresh_scans starts this heap anew
                insert_discrepancies(turn.migration, scan.relation, report);
                scan.next_block = report.next_block;
                ScanProgress progress;
                progress.rows = report.rows;
                progress.discrepancies = report.discrepancies;
                progress.lost_with_old = report.lost_with_old;
                progress.lost_with_new = report.lost_with_new;
                progress.busy_seconds = (zdm_now_ms() - box_ms + slept_ms) / 1000;
                progress.done = report.done;
                save_scan(turn.migration, scan, progress);
            });
            turn.pacer.end_box();
            if (report.done || report.rewritten || yield) return Outcome::more();
            note_slowness(turn, why);
            slept_ms = pace(turn, {report.rows, false});
        }
    }

    [[noreturn]] static void raise_trigger(const Migration &migration) {
        raise(
            sqlstate::not_ready, {},
            "{}: the sync trigger was disabled or dropped, so writes since may have parted old and "
            "new; SELECT zdm.abort({}) and start again",
            described(migration), Literal(migration.name));
    }

    [[noreturn]] static void raise_discrepancies(const Migration &migration, int64_t count) {
        raise(
            sqlstate::discrepancies, {},
            "{}: {} row{} differ{} between old and new (SELECT * FROM zdm.discrepancy WHERE name = "
            "{}); correct the data or the expression, SELECT zdm.repair({}), then SELECT "
            "zdm.resume({})",
            described(migration), count, count == 1 ? "" : "s", count == 1 ? "s" : "",
            Literal(migration.name), Literal(migration.name), Literal(migration.name));
    }

    [[noreturn]] static void raise_lost(const Migration &migration, int64_t count,
                                        std::optional<Side> given_up) {
        const bool contracts = given_up == Side::old_side;
        raise(sqlstate::discrepancies, {},
              "{} cannot be {}: {} row{} differ{} between old and new, and {} (SELECT * FROM "
              "zdm.discrepancy WHERE name = {}); correct {}, or SELECT zdm.repair({}){}, then "
              "SELECT zdm.resume({})",
              described(migration), contracts ? "contracted" : "reverted", count,
              count == 1 ? "" : "s", count == 1 ? "s" : "",
              contracts  ? "what the old side has would be lost"
              : given_up ? "what the new side has would be lost"
                         : "would be lost, or break a key of the old side",
              Literal(migration.name), count == 1 ? "it" : "them", Literal(migration.name),
              given_up == Side::new_side
                  ? ""
                  : " and set the old column to NULL where the class is error",
              Literal(migration.name));
    }
} const verify;

}  // namespace

Outcome verify_again(Turn &turn, std::optional<Side> given_up) {
    return Verify::run_again(turn, given_up);
}

}  // namespace zdm
