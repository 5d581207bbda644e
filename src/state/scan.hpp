// Cursor and counters of a pass over one heap: rows of zdm.scan. Progress is exact in blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/migration.hpp"

namespace zdm {

struct Scan {
    std::string kind;       // backfill or verify
    uint32_t relation = 0;  // a plain table or a leaf partition
    std::string relation_name;
    uint32_t relfilenode = 0;  // what the cursor belongs to
    uint32_t next_block = 0;
    uint32_t blocks = 0;  // of the heap when the pass began: what is written later is in sync
    std::vector<uint32_t> busy_blocks;
};

// What one box of work adds to the counters.
struct ScanProgress {
    int64_t rows = 0;
    int64_t rows_hot = 0;
    int64_t rows_moved = 0;
    int64_t discrepancies = 0;
    double busy_seconds = 0;
    bool done = false;
};

// Adds heaps of the migration's table that have no scan of this kind yet (all at first, later
// partitions that were attached meanwhile), and starts those anew that have another relfilenode.
// Returns how many were added or started anew. Heaps that are gone lose their scan.
int64_t refresh_scans(const Migration &migration, const std::string &kind);
void delete_scans(const Migration &migration, const std::string &kind);
std::optional<Scan> next_scan(const Migration &migration, const std::string &kind);
void save_scan(const Migration &migration, const Scan &scan, const ScanProgress &progress);
// Another migration of the same table whose backfill is under way; "" = none. A backfill fires no
// trigger, so it would carry rows past the cursor of another one without filling them for it: only
// one at a time may write on a table.
std::string other_backfill(const Migration &migration);
int64_t scan_discrepancies(const Migration &migration);

}  // namespace zdm
