// What ALTER COLUMN SET keeps through a change of type: the statistics target and n_distinct. A
// partition has its own; the old column keeps them too. The new columns have them before ANALYZE
// first reads them, and once more at cutover, for what was set since. storage.cpp has storage and
// compression, which the server keeps only where there is no change of type.
#include "carry/attribute.hpp"

#include "carry/column_pairs.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void share_attributes(const std::vector<const CarryScope *> &scopes) {
    const std::string pairs = column_pairs(scopes, Side::new_side);
    if (pairs.empty()) return;
    // Servers since 15.20 keep a stamp of their own among the options.
    const Rows rows = query(fmt::format(
        R"(SELECT format('ALTER TABLE ONLY %I.%I ALTER COLUMN %I SET STATISTICS %s, ALTER COLUMN %I %s',
                         n.nspname, c.relname, target.attname, coalesce(source.attstattarget, -1), target.attname,
                         coalesce('SET (' || source_options.list || ')', 'RESET (n_distinct, n_distinct_inherited)'))
             FROM {0}
             JOIN pg_class c ON c.oid = target.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            CROSS JOIN LATERAL ({1} pg_options_to_table(source.attoptions) o {2}) source_options
            CROSS JOIN LATERAL ({1} pg_options_to_table(target.attoptions) o {2}) target_options
            WHERE (coalesce(source.attstattarget, -1), source_options.list)
                  IS DISTINCT FROM (coalesce(target.attstattarget, -1), target_options.list))",
        pairs,
        "SELECT string_agg(quote_ident(o.option_name) || '=' || quote_literal(o.option_value), ', "
        "' "
        "ORDER BY o.option_name) AS list FROM",
        R"(WHERE o.option_name LIKE 'n\_distinct%')"));
    for (size_t row = 0; row < rows.size(); ++row) query(rows.text(row, 0));
}

}  // namespace zdm
