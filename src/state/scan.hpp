// Cursor and counters of a pass over one heap: rows of zdm.scan. Progress is exact in blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/mapping.hpp"
#include "state/migration.hpp"

namespace zdm {

struct Scan {
    int number = 0;         // names it
    std::string kind;       // backfill or verify
    uint32_t relation = 0;  // a plain table or a leaf partition
    std::string relation_name;
    uint32_t relfilenode = 0;  // what the cursor belongs to
    uint32_t first_block = 0;
    uint32_t next_block = 0;
    // The end of its range: of the heap when the pass began, for what is written later is in sync.
    uint32_t blocks = 0;
    std::vector<uint32_t> busy_blocks;
};

// What one box of work adds to the counters.
struct ScanProgress {
    int64_t rows = 0;
    int64_t rows_hot = 0;
    int64_t rows_moved = 0;
    int64_t discrepancies = 0;
    int64_t lost_with_old = 0, lost_with_new = 0;
    double busy_seconds = 0;
    bool done = false;
};

// Adds heaps of the migration's table that have no scan of this kind yet (all at first, later
// partitions that were attached meanwhile), and starts those anew that have another relfilenode or
// another sync trigger: a partition that was detached, or a trigger that was disabled, and is back.
// Returns how many were added or started anew. Heaps that are gone lose their scan.
int64_t refresh_scans(const Migration &migration, const std::string &kind);
void delete_scans(const Migration &migration, const std::string &kind);

// A heap of the migration's table of which nobody knows that the sync trigger has been there for
// every write since it was verified; "" = there is none. Verified: no row differs; or in soak, none
// that would lose something with the side that is given up.
std::string unverified_heap(const Migration &migration, std::optional<Side> given_up = {});
// The caller has made the sync trigger of all the migration's tables anew under a lock that lets
// nobody write, and every heap was verified.
void note_sync_triggers(const Migration &migration);
std::optional<Scan> next_scan(const Migration &migration, const std::string &kind);

// Several workers on one migration: each works on a scan of its own, which nobody else has claimed.
// A claim is a lock of the session, so it ends with the process.
std::optional<Scan> claim_scan(const Migration &migration, const std::string &kind);
void release_claim(const Scan &scan);
int64_t open_scans(const Migration &migration, const std::string &kind);
// Processes that have claimed one, besides the worker and the caller.
int64_t other_helpers(const Migration &migration, const std::string &kind);
// Whether divide_scan would make several ranges of what is left of it.
bool is_divisible(const Scan &scan);
// Divides what is left of a claimed scan, into at most that many ranges of some size; the others
// are free to be claimed. Returns how many ranges it is now.
int divide_scan(Scan &scan, int ranges);

// Rows of one heap, over all its ranges.
struct MovedRows {
    double rows = 0;     // moved to other pages since the last VACUUM
    double of_rows = 0;  // that the heap has
    int64_t in_all = 0;  // moved since the backfill began
    double to_come = 0;  // as many of the rows that are left as of those that are done
};
MovedRows moved_since_vacuum(const Migration &migration, const Scan &scan);
void note_vacuum(const Scan &scan, const MovedRows &moved);

void save_scan(const Migration &migration, const Scan &scan, const ScanProgress &progress);
// Another migration of the same table whose backfill is under way; "" = none. A backfill fires no
// trigger, so it would carry rows past the cursor of another one without filling them for it: only
// one at a time may write on a table.
std::string other_backfill(const Migration &migration);
// All rows that differ, or those that would lose something with that side.
int64_t scan_discrepancies(const Migration &migration, std::optional<Side> given_up = {});
// So that their heaps are looked at once more.
void delete_differing_scans(const Migration &migration, std::optional<Side> given_up);

}  // namespace zdm
