// Storage and compression, which say how values are kept that are written from then on. A change of
// type sets both to those of the new type, as ALTER COLUMN TYPE does (ATExecAlterColumnType in
// tablecmds.c); where the type stays the same they stay as well. The new columns have them before
// the first row is copied, or the copies would be stored as for any column of that type; and once
// more at cutover, for what was set since. A partition has its own.
#include "carry/storage.hpp"

#include "carry/column_pairs.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void share_storage(const std::vector<const CarryScope *> &scopes) {
    const std::string pairs = column_pairs(scopes, Side::new_side);
    if (pairs.empty()) return;
    const Rows rows = query(fmt::format(
        R"(SELECT format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET STORAGE %s, ALTER COLUMN %I SET COMPRESSION %s',
                         n.nspname, c.relname, target.attname,
                         CASE source.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL'
                                                WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END,
                         target.attname,
                         CASE source.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE 'default' END)
             FROM {}
             JOIN pg_class c ON c.oid = target.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE (source.atttypid, source.atttypmod) = (target.atttypid, target.atttypmod)
              AND (source.attstorage, source.attcompression) <> (target.attstorage, target.attcompression))",
        pairs));
    for (size_t row = 0; row < rows.size(); ++row) query(rows.text(row, 0));
}

}  // namespace zdm
