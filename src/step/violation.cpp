#include "step/violation.hpp"

#include <algorithm>

#include "state/discrepancy.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr size_t examples_shown = 3;

Violations summary(const std::vector<std::string> &keys, bool more) {
    const std::vector<std::string> shown(
        keys.begin(),
        keys.begin() + static_cast<std::ptrdiff_t>(std::min(keys.size(), examples_shown)));
    return {static_cast<int64_t>(keys.size()), more, fmt::format("{}", fmt::join(shown, ", "))};
}

}  // namespace

std::string Violations::in_words() const {
    const bool all_shown = !more && count <= static_cast<int64_t>(examples_shown);
    return fmt::format("{}{} row{} ({}{})", more ? "more than " : "", count, count == 1 ? "" : "s",
                       all_shown ? "" : "such as ", examples);
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
    std::vector<std::string> pairs;
    for (size_t row = 0; row < rows.size(); ++row)
        pairs.push_back(fmt::format("{}, {}{}", Literal(rows.text(row, 0)), qualifier,
                                    Identifier(rows.text(row, 0))));
    return fmt::format("jsonb_build_object({})", fmt::join(pairs, ", "));
}

Violations record_violations(Turn &turn, const std::string &select, const std::string &expected) {
    const auto limit = static_cast<size_t>(std::max(turn.settings.verify_limit, 1));
    Rows rows;
    {
        OwnerScope as_owner(turn.migration.owner);
        rows = evaluate(fmt::format("{} ORDER BY key LIMIT {}", select, limit + 1),
                        turn.migration.evaluation);
    }
    resolve_discrepancies(turn.migration);
    std::vector<std::string> keys;
    for (size_t row = 0; row < std::min(rows.size(), limit); ++row) {
        keys.push_back(rows.text(row, 1));
        insert_violation(turn.migration, rows.oid(row, 0), rows.text(row, 1), expected,
                         rows.null_text(row, 2));
    }
    return summary(keys, rows.size() > limit);
}

Violations recorded_violations(Turn &turn) {
    std::vector<std::string> keys;
    for (const auto &found : open_discrepancies(turn.migration)) keys.push_back(found.key);
    const auto limit = static_cast<size_t>(std::max(turn.settings.verify_limit, 1));
    return summary(keys, keys.size() >= limit);
}

}  // namespace zdm
