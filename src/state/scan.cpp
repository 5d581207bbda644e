#include "state/scan.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

int64_t refresh_scans(const Migration &migration, const std::string &kind) {
    catalog(R"(DELETE FROM zdm.scan s
                WHERE s.migration = $1::bigint AND s.kind = $2 AND s.root = $3::oid
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_partition_tree($3::oid::regclass) t
                                   WHERE t.isleaf AND t.relid = s.relation
                                  UNION ALL
                                  SELECT WHERE s.relation = $3::oid))",
            {migration.id, kind, migration.relation});
    // pg_partition_tree is empty for a plain table. rows_total is the planner's guess, for the ETA.
    const Rows rows = catalog(
        R"(INSERT INTO zdm.scan AS s (migration, kind, root, relation, relation_name, relfilenode, blocks, rows_total)
           SELECT $1::bigint, $2, $3::oid, c.oid, format('%I.%I', n.nspname, c.relname), pg_relation_filenode(c.oid),
                  pg_relation_size(c.oid) / current_setting('block_size')::bigint,
                  greatest(CASE WHEN c.relpages > 0
                                THEN c.reltuples / c.relpages
                                     * (pg_relation_size(c.oid) / current_setting('block_size')::bigint)
                                ELSE c.reltuples END, 0)::bigint
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r'
              AND (c.oid = $3::oid
                   OR c.oid IN (SELECT t.relid FROM pg_catalog.pg_partition_tree($3::oid::regclass) t WHERE t.isleaf))
           ON CONFLICT (migration, kind, relation) DO UPDATE
              SET relfilenode = excluded.relfilenode, next_block = 0, blocks = excluded.blocks,
                  busy_blocks = '{}', rows_done = 0, discrepancies = 0, done = false
            WHERE s.relfilenode <> excluded.relfilenode
           RETURNING 1)",
        {migration.id, kind, migration.relation});
    return static_cast<int64_t>(rows.size());
}

void delete_scans(const Migration &migration, const std::string &kind) {
    catalog("DELETE FROM zdm.scan WHERE migration = $1::bigint AND kind = $2 AND root = $3::oid",
            {migration.id, kind, migration.relation});
}

std::optional<Scan> next_scan(const Migration &migration, const std::string &kind) {
    const Rows rows = catalog(
        R"(SELECT kind, relation, relation_name, relfilenode, next_block, blocks, array_to_string(busy_blocks, ' ')
             FROM zdm.scan WHERE migration = $1::bigint AND kind = $2 AND root = $3::oid AND NOT done
            ORDER BY relation LIMIT 1)",
        {migration.id, kind, migration.relation});
    if (rows.empty()) return std::nullopt;
    Scan scan{rows.text(0, 0),
              rows.oid(0, 1),
              rows.text(0, 2),
              rows.oid(0, 3),
              static_cast<uint32_t>(rows.integer(0, 4)),
              static_cast<uint32_t>(rows.integer(0, 5)),
              {}};
    const std::string busy = rows.text(0, 6);
    for (size_t from = 0; from < busy.size();) {
        size_t length = 0;
        scan.busy_blocks.push_back(static_cast<uint32_t>(std::stoul(busy.substr(from), &length)));
        from += length + 1;
    }
    return scan;
}

void save_scan(const Migration &migration, const Scan &scan, const ScanProgress &progress) {
    catalog(R"(UPDATE zdm.scan
                  SET next_block = $4::bigint, busy_blocks = string_to_array($5, ' ')::bigint[],
                      rows_done = rows_done + $6::bigint, rows_hot = rows_hot + $7::bigint,
                      rows_moved = rows_moved + $8::bigint, discrepancies = discrepancies + $9::bigint,
                      busy_seconds = busy_seconds + $10::float8, done = $11::boolean,
                      updated_at = clock_timestamp()
                WHERE migration = $1::bigint AND kind = $2 AND relation = $3::oid)",
            {migration.id, scan.kind, scan.relation, static_cast<int64_t>(scan.next_block),
             fmt::format("{}", fmt::join(scan.busy_blocks, " ")), progress.rows, progress.rows_hot,
             progress.rows_moved, progress.discrepancies, progress.busy_seconds, progress.done});
}

std::string other_backfill(const Migration &migration) {
    const Rows rows = catalog(
        R"(SELECT m.name FROM zdm.migration m JOIN zdm.scan s ON s.migration = m.id
            WHERE s.root = $1::oid AND m.id <> $2::bigint AND m.phase NOT IN ('done', 'aborted')
              AND s.kind = 'backfill' AND NOT s.done LIMIT 1)",
        {migration.relation, migration.id});
    return rows.empty() ? "" : rows.text(0, 0);
}

int64_t scan_discrepancies(const Migration &migration) {
    return catalog(R"(SELECT coalesce(sum(discrepancies), 0) FROM zdm.scan
                       WHERE migration = $1::bigint AND kind = 'verify' AND root = $2::oid)",
                   {migration.id, migration.relation})
        .integer(0, 0);
}

}  // namespace zdm
