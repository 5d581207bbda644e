// split_backfill: the rows that were there before expand are copied to the part, some blocks of the
// source at a time.
//
// A row is locked FOR SHARE while it is copied: a DELETE that has begun would find nothing to
// delete in the part, and we would bring the row back. Rows that somebody is writing are passed by
// and looked at again later, as are blocks that still have rows without a counterpart. Nobody
// inserts into the part before he has the source's row, so our INSERT waits for no one.
//
// An update may carry a row from a block that is to be read to one that was read: then the trigger
// copies it. Rows and cursor are of one transaction, so a crash loses both or neither.
#include <algorithm>

#include "core/user.hpp"
#include "step/lock.hpp"
#include "step/pass.hpp"
#include "step/split.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr int64_t other_backfill_pause_ms = 250;
constexpr int64_t longest_busy_pause_ms = 1000;
constexpr uint32_t first_blocks = 8;

// The part's triggers know the rows that we write from those of an application.
class Copying {
  public:
    explicit Copying(const Split &split) { zdm_mirror_copying(split.trigger.c_str()); }
    ~Copying() { zdm_mirror_copying(""); }
    Copying(const Copying &) = delete;
    Copying &operator=(const Copying &) = delete;
};

struct Range {
    uint32_t first = 0, end = 0;
    bool of_busy = false;  // one busy block, looked at again
};

class SplitBackfill final : public StepKind {
  public:
    const char *name() const override { return "split_backfill"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Scan> scan;
        Split split;
        std::string other;
        in_turn(turn, [&] {
            other = other_backfill(turn.migration);
            if (!other.empty()) return;
            enter_phase(turn, Phase::backfill);
            split = load_split(turn.migration, turn.mapping);
            refresh_scans(turn.migration, "backfill");
            scan = next_scan(turn.migration, "backfill");
        });
        // It would carry rows past our cursor, and fires no trigger.
        if (!other.empty())
            return Outcome::wait(fmt::format("waits for the backfill of migration \"{}\", which is "
                                             "under way on the same table",
                                             other),
                                 other_backfill_pause_ms);
        if (scan) return copy(turn, *scan, split, step.attempts);
        // The application reads the part from cutover on; the planner must know it by then.
        run_utility_on(turn, {split.part.relation}, ZDM_SHARE_UPDATE_EXCLUSIVE,
                       fmt::format("ANALYZE {}", split.part_table));
        in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return Outcome::finished();
    }

  private:
    static Range next_range(const Scan &scan, uint32_t at_once, size_t busy_at) {
        if (scan.next_block < scan.blocks)
            return {scan.next_block, std::min(scan.next_block + at_once, scan.blocks), false};
        return {scan.busy_blocks.at(busy_at), scan.busy_blocks.at(busy_at) + 1, true};
    }

    static bool finished(const Scan &scan) {
        return scan.next_block >= scan.blocks && scan.busy_blocks.empty();
    }

    // Returns how many rows were copied; the blocks that still have rows to copy are busy.
    static int64_t copy_range(const Split &split, const Range &range,
                              std::vector<uint32_t> &still_busy) {
        const Parameters tids{fmt::format("({},0)", range.first), fmt::format("({},0)", range.end)};
        const std::string wanting = fmt::format(
            "FROM ONLY {} AS s WHERE s.ctid >= $1::tid AND s.ctid < $2::tid AND {} AND NOT EXISTS "
            "(SELECT FROM ONLY {} AS n WHERE {})",
            split.source_table, split.storable("s"), split.part_table, split.same_key("s", "n"));
        OwnerScope as_owner(split.source.owner);
        const Copying copying(split);
        join_by_key();
        const int64_t copied =
            query(
                fmt::format("WITH copied AS (INSERT INTO {} ({}) SELECT {} {} FOR SHARE OF s SKIP "
                            "LOCKED ON CONFLICT ({}) DO NOTHING RETURNING 1) SELECT count(*) "
                            "FROM copied",
                            split.part_table, split.all_names(""), split.all_names("s."), wanting,
                            split.keys("")),
                tids)
                .integer(0, 0);
        const Rows rows = query(
            fmt::format("SELECT DISTINCT (s.ctid::text::point)[0]::bigint {}", wanting), tids);
        for (size_t row = 0; row < rows.size(); ++row)
            still_busy.push_back(static_cast<uint32_t>(rows.integer(row, 0)));
        return copied;
    }

    static Outcome copy(Turn &turn, Scan scan, const Split &split, int attempts) {
        const double began_ms = zdm_now_ms();
        check(zdm_report_activity(fmt::format("zdm backfill of {}", split.part_table).c_str()));
        uint32_t at_once = first_blocks;
        size_t busy_at = 0;
        for (;;) {
            if (const auto wait = held_back(turn, scan)) return *wait;
            bool yield = false;
            int64_t copied = 0;
            const double box_ms = turn.pacer.begin_box(turn.settings);
            in_turn(turn, [&] {
                check(zdm_setting_override("synchronous_commit", "off", true));
                // Blocks all below the cursor, of an empty table: there is nothing to copy.
                if (!finished(scan)) {
                    const Range range = next_range(scan, at_once, busy_at);
                    std::vector<uint32_t> still_busy;
                    copied = copy_range(split, range, still_busy);
                    note_range(scan, range, still_busy, busy_at);
                }
                ScanProgress progress;
                progress.rows = progress.rows_moved = copied;
                progress.busy_seconds = (zdm_now_ms() - box_ms) / 1000;
                progress.done = finished(scan);
                save_scan(turn.migration, scan, progress);
                yield = !turn.refresh() || (!turn.alone && zdm_now_ms() - began_ms > turn_ms);
            });
            const double took_ms = turn.pacer.end_box();
            if (finished(scan) || yield) return Outcome::more();
            note_slowness(turn, "");
            if (scan.next_block >= scan.blocks && busy_at >= scan.busy_blocks.size())
                return Outcome::wait(
                    fmt::format("waits for {} block{} of {} with rows that others "
                                "are writing",
                                scan.busy_blocks.size(), scan.busy_blocks.size() == 1 ? "" : "s",
                                split.source_table),
                    std::min(retry_pause_ms(attempts), longest_busy_pause_ms));
            at_once = blocks_that_fit(at_once, took_ms, turn.pacer.unbroken_box_ms(turn.settings));
            pace(turn, {copied, false});
        }
    }

    static void note_range(Scan &scan, const Range &range, const std::vector<uint32_t> &still_busy,
                           size_t &busy_at) {
        if (!range.of_busy) {
            scan.next_block = range.end;
            scan.busy_blocks.insert(scan.busy_blocks.end(), still_busy.begin(), still_busy.end());
        } else if (still_busy.empty())
            scan.busy_blocks.erase(scan.busy_blocks.begin() + static_cast<std::ptrdiff_t>(busy_at));
        else
            ++busy_at;
    }
} const split_backfill;

}  // namespace
}  // namespace zdm
