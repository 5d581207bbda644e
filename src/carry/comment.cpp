// COMMENT ON COLUMN: that of the application's column, as it stands at each swap. A partition has
// its own.
#include "carry/comment.hpp"

#include "carry/column_pairs.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void exchange_comments(const std::vector<const CarryScope *> &scopes, Side side) {
    const std::string pairs = column_pairs(scopes, side);
    if (pairs.empty()) return;
    const Rows rows = query(fmt::format(
        R"(SELECT format('COMMENT ON COLUMN %I.%I.%I IS %L', n.nspname, c.relname, target.attname, source_comment),
                  format('COMMENT ON COLUMN %I.%I.%I IS NULL', n.nspname, c.relname, source.attname)
             FROM {}
             JOIN pg_class c ON c.oid = target.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            CROSS JOIN col_description(source.attrelid, source.attnum) AS source_comment
            CROSS JOIN col_description(target.attrelid, target.attnum) AS target_comment
            WHERE source_comment IS DISTINCT FROM target_comment)",
        pairs));
    for (size_t row = 0; row < rows.size(); ++row)
        for (const int statement : {0, 1}) query(rows.text(row, statement));
}

}  // namespace zdm
