// split_verify: a full pass over both tables. The triggers keep them equal within each transaction,
// so one snapshot sees both: no retries, no false alarms.
//
// Counters, cursor and discrepancies are of one transaction. A pass that a crash interrupted goes
// on where it was; one that found something begins anew.
#include <algorithm>

#include "state/discrepancy.hpp"
#include "step/pass.hpp"
#include "step/split.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr uint32_t first_blocks = 16;

class SplitVerify final : public StepKind {
  public:
    const char *name() const override { return "split_verify"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Scan> scan;
        Split split;
        Migration heap;
        int64_t discrepancies = 0;
        in_turn(turn, [&] {
            split = load_split(turn.migration, turn.mapping);
            check_mirror(split);
            if (step.state != "running") {
                for (const auto *seen : {&split.source, &split.part}) delete_scans(*seen, "verify");
                resolve_discrepancies(turn.migration);
            }
            enter_phase(turn, Phase::verify);
            for (const auto *seen : {&split.source, &split.part}) {
                refresh_scans(*seen, "verify");
                discrepancies += scan_discrepancies(*seen);
                if (!scan) scan = next_scan(*seen, "verify"), heap = *seen;
            }
            if (!scan && discrepancies == 0) set_step_state(turn.migration, step, "done");
        });
        if (scan) return check_heap(turn, *scan, split, heap);
        if (discrepancies > 0) raise_discrepancies(turn.migration, discrepancies);
        return Outcome::finished();
    }

  private:
    static Outcome check_heap(Turn &turn, Scan scan, const Split &split, const Migration &heap) {
        const double began_ms = zdm_now_ms();
        check(zdm_report_activity(fmt::format("zdm verify of {}", scan.relation_name).c_str()));
        uint32_t at_once = first_blocks;
        for (;;) {
            if (const auto wait = held_back(turn, scan)) return *wait;
            bool yield = false;
            SplitFinding found;
            const double box_ms = turn.pacer.begin_box(turn.settings);
            in_turn(turn, [&] {
                const uint32_t end = std::min(scan.next_block + at_once, scan.blocks);
                join_by_key();
                found = check_rows(split, {&heap, fmt::format("({},0)", scan.next_block),
                                           fmt::format("({},0)", end), turn.settings.verify_limit});
                yield = !turn.refresh() || (!turn.alone && zdm_now_ms() - began_ms > turn_ms);
                scan.next_block = end;
                ScanProgress progress;
                progress.rows = found.rows;
                progress.discrepancies = found.discrepancies;
                progress.busy_seconds = (zdm_now_ms() - box_ms) / 1000;
                progress.done = end >= scan.blocks;
                save_scan(turn.migration, scan, progress);
            });
            const double took_ms = turn.pacer.end_box();
            if (scan.next_block >= scan.blocks || yield) return Outcome::more();
            note_slowness(turn, "");
            at_once = blocks_that_fit(at_once, took_ms, turn.pacer.unbroken_box_ms(turn.settings));
            pace(turn, {found.rows, false});
        }
    }

    [[noreturn]] static void raise_discrepancies(const Migration &migration, int64_t count) {
        raise(sqlstate::discrepancies, {},
              "{}: {} row{} differ{} between the two tables (SELECT * FROM zdm.discrepancy WHERE "
              "name "
              "= {}); SELECT zdm.repair({}), then SELECT zdm.resume({})",
              described(migration), count, count == 1 ? "" : "s", count == 1 ? "s" : "",
              Literal(migration.name), Literal(migration.name), Literal(migration.name));
    }
} const split_verify;

}  // namespace
}  // namespace zdm
