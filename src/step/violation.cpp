#include "step/violation.hpp"

#include <algorithm>

#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "step/giving_way.hpp"
#include "step/lock.hpp"
#include "step/public_text.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::string Violations::in_words() const {
    return fmt::format("{}{} row{}", more ? "more than " : "", count, count == 1 ? "" : "s");
}

std::string row_key(uint32_t relation, const std::string &qualifier) {
    const Rows rows = query(
        R"(SELECT a.attname FROM pg_index i
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
            WHERE i.indrelid = $1::oid AND i.indisprimary AND i.indisvalid
              AND array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts
            ORDER BY array_position(i.indkey::int2[], a.attnum))",
        {relation});
    if (rows.empty()) return fmt::format("jsonb_build_object('ctid', {}ctid::text)", qualifier);
    std::vector<std::string> columns;
    for (size_t row = 0; row < rows.size(); ++row) columns.push_back(rows.text(row, 0));
    return row_key(columns, qualifier);
}

std::string row_key(const std::vector<std::string> &columns, const std::string &qualifier) {
    std::vector<std::string> pairs;
    for (const auto &column : columns)
        pairs.push_back(
            fmt::format("{}, format('%s', {}{})", Literal(column), qualifier, Identifier(column)));
    return fmt::format("jsonb_build_object({})", fmt::join(pairs, ", "));
}

Violations record_violations(Turn &turn, uint32_t table, const std::string &select,
                             const std::string &expected) {
    const auto limit = static_cast<size_t>(std::max(turn.settings.verify_limit, 1));
    Rows rows;
    const auto held = held_on(with_partitions({table}), ZDM_ACCESS_SHARE);
    {
        OwnerScope as_owner(turn.migration.owner);
        rows = giving_way(turn, held, [&] {
            return evaluate(fmt::format("{} ORDER BY key LIMIT {}", select, limit + 1),
                            turn.migration.evaluation);
        });
    }
    resolve_discrepancies(turn.migration);
    const size_t stored = std::min(rows.size(), limit);
    for (size_t row = 0; row < stored; ++row)
        insert_violation(turn.migration, rows.oid(row, 0), rows.text(row, 1), expected,
                         rows.null_text(row, 2));
    return {static_cast<int64_t>(stored), rows.size() > limit};
}

namespace {

// Rows that share a key, by the index's own keys and predicate.
std::string duplicates(uint32_t table, const ZdmIndexDefinition &definition,
                       const std::vector<std::string> &keys) {
    std::vector<std::string> conditions{"true"};
    if (definition.predicate) conditions.push_back(fmt::format("({})", definition.predicate));
    if (!definition.nulls_not_distinct)
        for (const auto &key : keys) conditions.push_back(key + " IS NOT NULL");
    return fmt::format(
        R"(SELECT relation, key, value
             FROM (SELECT tableoid::oid AS relation, {} AS key, ROW({})::text AS value,
                          count(*) OVER (PARTITION BY {}) AS rows
                     FROM {} WHERE {}) AS found
            WHERE rows > 1)",
        row_key(table), fmt::join(keys, ", "), fmt::join(keys, ", "), *quoted_relation(table),
        fmt::join(conditions, " AND "));
}

}  // namespace

void raise_duplicates(Turn &turn, uint32_t table, const std::string &statement) {
    std::string index, how_many;
    in_turn(turn, [&] {
        std::string select;
        {
            OwnerScope as_owner(turn.migration.owner);
            ZdmIndexDefinition definition{};
            check(zdm_index_parse(statement.c_str(), table, &definition));
            const std::vector<std::string> keys(definition.keys,
                                                definition.keys + definition.key_count);
            index = fmt::format("{} ({})", *quoted_relation(table), fmt::join(keys, ", "));
            select = duplicates(table, definition, keys);
        }
        Violations found;
        const auto unlisted = attempt({sqlstate::lock_not_available}, [&] {
            found = record_violations(turn, table, select, "a key of its own");
        });
        how_many = unlisted           ? fmt::format("rows share their keys (their list {})",
                                                    public_text(turn.migration, *unlisted))
                   : found.count == 0 ? "rows shared their keys, and are gone by now"
                                      : found.in_words() + " share their keys";
    });
    const Literal name(turn.migration.name);
    raise(sqlstate::unique_violation, {},
          "{}: cannot build unique index on {}: {}; correct them (SELECT * FROM zdm.discrepancy "
          "WHERE name = {}), then SELECT zdm.resume({})",
          described(turn.migration), index, how_many, name, name);
}

Violations recorded_violations(Turn &turn) {
    const auto count = static_cast<int64_t>(open_discrepancies(turn.migration).size());
    return {count, count >= std::max(turn.settings.verify_limit, 1)};
}

}  // namespace zdm
