#include "state/scan.hpp"

#include <algorithm>

#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

// Of the heap c, as zdm.scan keeps it. xmin changes where the trigger is disabled and enabled, the
// OID where a partition is detached and attached.
#define ZDM_SYNC_TRIGGER_OF(heap, name)                                                   \
    "(SELECT format('%s %s', t.oid, t.xmin) FROM pg_catalog.pg_trigger t WHERE t.tgrelid" \
    " = " heap " AND t.tgname = " name ")"

int64_t refresh_scans(const Migration &migration, const std::string &kind) {
    catalog(R"(DELETE FROM zdm.scan s
                WHERE s.migration = $1::bigint AND s.kind = $2 AND s.root = $3::oid
                  AND (s.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(s.relation)
                       OR s.sync_trigger IS DISTINCT FROM )" ZDM_SYNC_TRIGGER_OF("s.relation",
                                                                                 "$4") R"(
                       OR NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree($3::oid::regclass) t
                                       WHERE t.isleaf AND t.relid = s.relation
                                      UNION ALL
                                      SELECT WHERE s.relation = $3::oid)))",
            {migration.id, kind, migration.relation, sync_trigger_name(migration.id)});
    // pg_partition_tree is empty for a plain table. rows_total is the planner's guess, for the ETA.
    const Rows rows = catalog(
        R"(INSERT INTO zdm.scan AS s (migration, kind, root, relation, relation_name, relfilenode, sync_trigger, blocks, rows_total)
           SELECT $1::bigint, $2, $3::oid, c.oid, format('%I.%I', n.nspname, c.relname), pg_relation_filenode(c.oid),
                  )" ZDM_SYNC_TRIGGER_OF("c.oid", "$4") R"(,
                  pg_relation_size(c.oid) / current_setting('block_size')::bigint,
                  greatest(CASE WHEN c.relpages > 0
                                THEN c.reltuples / c.relpages
                                     * (pg_relation_size(c.oid) / current_setting('block_size')::bigint)
                                ELSE c.reltuples END, 0)::bigint
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r'
              AND c.oid = ANY ()" ZDM_TREE_OF("$3::oid") R"()
              AND NOT EXISTS (SELECT FROM zdm.scan o WHERE o.migration = $1::bigint AND o.kind = $2 AND o.relation = c.oid)
           RETURNING 1)",
        {migration.id, kind, migration.relation, sync_trigger_name(migration.id)});
    return static_cast<int64_t>(rows.size());
}

void delete_scans(const Migration &migration, const std::string &kind) {
    catalog("DELETE FROM zdm.scan WHERE migration = $1::bigint AND kind = $2 AND root = $3::oid",
            {migration.id, kind, migration.relation});
}

// Of a scan of verify: the rows that count where that side is given up, 'old' or 'new'.
#define ZDM_DIFFERING(given_up)                                    \
    "CASE " given_up                                               \
    " WHEN 'old' THEN lost_with_old WHEN 'new' THEN lost_with_new" \
    " ELSE discrepancies END"

namespace {

const char *named(std::optional<Side> given_up) {
    if (!given_up) return "";
    return *given_up == Side::old_side ? "old" : "new";
}

}  // namespace

std::string unverified_heap(const Migration &migration, std::optional<Side> given_up) {
    const Rows rows = catalog(
        R"(SELECT format('%I.%I', n.nspname, c.relname)
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r'
              AND c.oid = ANY ()" ZDM_TREE_OF("$2::oid") R"()
              AND NOT EXISTS (SELECT FROM zdm.scan s
                               WHERE s.migration = $1::bigint AND s.kind = 'verify' AND s.relation = c.oid
                                 AND s.done
                                 AND )" ZDM_DIFFERING("$4") R"( = 0
                                 AND s.sync_trigger = )" ZDM_SYNC_TRIGGER_OF("c.oid", "$3") R"()
            ORDER BY c.oid LIMIT 1)",
        {migration.id, migration.relation, sync_trigger_name(migration.id), named(given_up)});
    return rows.empty() ? "" : rows.text(0, 0);
}

void note_sync_triggers(const Migration &migration) {
    catalog("UPDATE zdm.scan s SET sync_trigger = " ZDM_SYNC_TRIGGER_OF(
                "s.relation", "$2") " WHERE s.migration = $1::bigint",
            {migration.id, sync_trigger_name(migration.id)});
}

namespace {

#define ZDM_SCAN_SELECT                                                                           \
    "SELECT number, kind, relation, relation_name, relfilenode, first_block, next_block, "        \
    "       blocks, array_to_string(busy_blocks, ' ') "                                           \
    "  FROM zdm.scan WHERE migration = $1::bigint AND kind = $2 AND root = $3::oid AND NOT done " \
    " ORDER BY relation, first_block"

Scan from_row(const Rows &rows, size_t row) {
    Scan scan{static_cast<int>(rows.integer(row, 0)),
              rows.text(row, 1),
              rows.oid(row, 2),
              rows.text(row, 3),
              rows.oid(row, 4),
              static_cast<uint32_t>(rows.integer(row, 5)),
              static_cast<uint32_t>(rows.integer(row, 6)),
              static_cast<uint32_t>(rows.integer(row, 7)),
              {}};
    for (const auto &block : split(rows.text(row, 8), ' '))
        scan.busy_blocks.push_back(static_cast<uint32_t>(std::stoul(block)));
    return scan;
}

// A range that is not worth a worker of its own.
constexpr uint32_t least_blocks = 256;

uint32_t claim_number(const Scan &scan) { return static_cast<uint32_t>(scan.number); }

uint32_t blocks_left(const Scan &scan) {
    return scan.blocks - std::min(scan.next_block, scan.blocks);
}

}  // namespace

std::optional<Scan> next_scan(const Migration &migration, const std::string &kind) {
    const Rows rows = catalog(ZDM_SCAN_SELECT " LIMIT 1", {migration.id, kind, migration.relation});
    if (rows.empty()) return std::nullopt;
    return from_row(rows, 0);
}

std::optional<Scan> claim_scan(const Migration &migration, const std::string &kind) {
    const Rows rows = catalog(ZDM_SCAN_SELECT, {migration.id, kind, migration.relation});
    for (size_t row = 0; row < rows.size(); ++row) {
        Scan scan = from_row(rows, row);
        bool claimed = false;
        check(zdm_claim(ZDM_CLAIM_SCAN, claim_number(scan), &claimed));
        if (!claimed) continue;
        // Whoever had it may have come to its end since.
        if (!catalog("SELECT FROM zdm.scan WHERE number = $1::integer AND NOT done",
                     {static_cast<int64_t>(scan.number)})
                 .empty())
            return scan;
        release_claim(scan);
    }
    return std::nullopt;
}

void release_claim(const Scan &scan) {
    check(zdm_claim_release(ZDM_CLAIM_SCAN, claim_number(scan)));
}

int64_t open_scans(const Migration &migration, const std::string &kind) {
    return catalog(
               "SELECT count(*) FROM zdm.scan WHERE migration = $1::bigint AND kind = $2 AND NOT "
               "done",
               {migration.id, kind})
        .integer(0, 0);
}

int64_t other_helpers(const Migration &migration, const std::string &kind) {
    return catalog(
               R"(SELECT count(*) FROM zdm.scan s JOIN zdm.claim c ON c.what = 'scan' AND c.number = s.number
                        WHERE s.migration = $1::bigint AND s.kind = $2 AND c.pid <> pg_backend_pid()
                          AND c.pid IS DISTINCT FROM zdm.worker_pid())",
               {migration.id, kind})
        .integer(0, 0);
}

bool is_divisible(const Scan &scan) { return blocks_left(scan) >= 2 * least_blocks; }

int divide_scan(Scan &scan, int ranges) {
    const uint32_t left = blocks_left(scan);
    const int64_t count = std::min<int64_t>(ranges, left / least_blocks);
    if (count < 2) return 1;
    const auto bound = [&](int64_t range) {
        return scan.next_block + static_cast<int64_t>(left) * range / count;
    };
    for (int64_t range = 1; range < count; ++range)
        catalog(
            R"(INSERT INTO zdm.scan (migration, kind, root, relation, relation_name, relfilenode,
                                         sync_trigger, first_block, next_block, blocks, rows_total)
                   SELECT migration, kind, root, relation, relation_name, relfilenode, sync_trigger, $2::bigint, $2::bigint, $3::bigint,
                          rows_total * ($3::bigint - $2::bigint) / greatest(blocks - first_block, 1)
                     FROM zdm.scan WHERE number = $1::integer)",
            {static_cast<int64_t>(scan.number), bound(range), bound(range + 1)});
    catalog(R"(UPDATE zdm.scan SET blocks = $2::bigint,
                      rows_total = rows_total * ($2::bigint - first_block) / greatest(blocks - first_block, 1)
                WHERE number = $1::integer)",
            {static_cast<int64_t>(scan.number), bound(1)});
    scan.blocks = static_cast<uint32_t>(bound(1));
    return static_cast<int>(count);
}

void save_scan(const Migration &migration, const Scan &scan, const ScanProgress &progress) {
    catalog(R"(UPDATE zdm.scan
                  SET next_block = $3::bigint, busy_blocks = string_to_array($4, ' ')::bigint[],
                      rows_done = rows_done + $5::bigint, rows_hot = rows_hot + $6::bigint,
                      rows_moved = rows_moved + $7::bigint, discrepancies = discrepancies + $8::bigint,
                      lost_with_old = lost_with_old + $11::bigint,
                      lost_with_new = lost_with_new + $12::bigint,
                      busy_seconds = busy_seconds + $9::float8, done = $10::boolean,
                      updated_at = clock_timestamp()
                WHERE migration = $1::bigint AND number = $2::integer)",
            {migration.id, static_cast<int64_t>(scan.number), static_cast<int64_t>(scan.next_block),
             fmt::format("{}", fmt::join(scan.busy_blocks, " ")), progress.rows, progress.rows_hot,
             progress.rows_moved, progress.discrepancies, progress.busy_seconds, progress.done,
             progress.lost_with_old, progress.lost_with_new});
}

MovedRows moved_since_vacuum(const Migration &migration, const Scan &scan) {
    const Rows rows = catalog(
        R"(SELECT coalesce(sum(rows_moved), 0), coalesce(max(rows_vacuumed), 0), coalesce(sum(greatest(rows_total, rows_done)), 0),
                  coalesce(sum(rows_moved)::float8 / nullif(sum(rows_done), 0) * sum(greatest(rows_total - rows_done, 0)), 0)
             FROM zdm.scan WHERE migration = $1::bigint AND kind = 'backfill' AND relation = $2::oid)",
        {migration.id, scan.relation});
    const int64_t moved = rows.integer(0, 0);
    return {static_cast<double>(moved - rows.integer(0, 1)), rows.number(0, 2), moved,
            rows.number(0, 3)};
}

// On the caller's own range: others are busy with theirs.
void note_vacuum(const Scan &scan, const MovedRows &moved) {
    catalog("UPDATE zdm.scan SET rows_vacuumed = $2::bigint WHERE number = $1::integer",
            {static_cast<int64_t>(scan.number), moved.in_all});
}

std::string other_backfill(const Migration &migration) {
    const Rows rows = catalog(
        R"(SELECT m.name FROM zdm.migration m JOIN zdm.scan s ON s.migration = m.id
            WHERE s.root = $1::oid AND m.id <> $2::bigint AND m.phase NOT IN ('done', 'aborted')
              AND s.kind = 'backfill' AND NOT s.done LIMIT 1)",
        {migration.relation, migration.id});
    return rows.empty() ? "" : rows.text(0, 0);
}

int64_t scan_discrepancies(const Migration &migration, std::optional<Side> given_up) {
    return catalog("SELECT coalesce(sum(" ZDM_DIFFERING("$3") R"(), 0) FROM zdm.scan
                     WHERE migration = $1::bigint AND kind = 'verify' AND root = $2::oid)",
                   {migration.id, migration.relation, named(given_up)})
        .integer(0, 0);
}

void delete_differing_scans(const Migration &migration, std::optional<Side> given_up) {
    catalog(
        R"(DELETE FROM zdm.scan WHERE migration = $1::bigint AND kind = 'verify' AND root = $2::oid
                  AND )" ZDM_DIFFERING("$3") " > 0",
        {migration.id, migration.relation, named(given_up)});
}

}  // namespace zdm
