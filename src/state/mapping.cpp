#include "state/mapping.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace zdm {

bool Mapping::revertible() const {
    return std::all_of(old_columns.begin(), old_columns.end(),
                       [](const MappedColumn &column) { return !column.expression.empty(); });
}

bool Mapping::is_immutable() const {
    const auto immutable = [](const MappedColumn &column) { return column.immutable; };
    return std::all_of(old_columns.begin(), old_columns.end(), immutable) &&
           std::all_of(new_columns.begin(), new_columns.end(), immutable);
}

bool Mapping::reverse_is_total() const {
    return revertible() && std::all_of(old_columns.begin(), old_columns.end(),
                                       [](const MappedColumn &column) { return column.total; });
}

namespace {

// Whether a canonical expression reads a mapped column other than that one. A literal that looks
// like a parameter counts as one: then the columns are no pair, which is safe.
bool reads_other_than(const std::string &expression, size_t parameter) {
    const std::string own = std::to_string(parameter);
    for (size_t at = expression.find('$'); at != std::string::npos;
         at = expression.find('$', at + 1)) {
        const size_t end = expression.find_first_not_of("0123456789", at + 1);
        if (expression.substr(at + 1, end == std::string::npos ? end : end - at - 1) != own)
            return true;
    }
    return false;
}

bool is_integer(const std::string &type) {
    return type == "smallint" || type == "integer" || type == "bigint";
}

// One column is computed from the other, which is that parameter, and nothing is changed.
bool is_identity(const MappedColumn &column, const MappedColumn &other, size_t parameter) {
    return column.expression == fmt::format("${}", parameter) && column.type == other.type;
}

// Different values stay different.
bool is_injective(const MappedColumn &column, const MappedColumn &other, size_t parameter) {
    const std::string given = fmt::format("${}", parameter);
    return is_identity(column, other, parameter) ||
           (is_integer(column.type) && is_integer(other.type) &&
            (column.expression == given ||
             column.expression == fmt::format("({})::{}", given, column.type) ||
             column.expression == fmt::format("{}::{}", given, column.type)));
}

}  // namespace

bool Mapping::is_paired() const {
    const size_t count = old_columns.size();
    if (count == 0 || new_columns.size() != count) return false;
    if (count == 1) return true;
    for (size_t i = 0; i < count; ++i)
        if (reads_other_than(new_columns[i].expression, i + 1) ||
            reads_other_than(old_columns[i].expression, count + i + 1))
            return false;
    return true;
}

bool Mapping::reverse_is_identity() const {
    if (!is_paired()) return false;
    for (size_t i = 0; i < old_columns.size(); ++i)
        if (!is_identity(old_columns[i], new_columns[i], old_columns.size() + i + 1)) return false;
    return true;
}

bool Mapping::reverse_is_injective() const {
    if (!is_paired()) return false;
    for (size_t i = 0; i < old_columns.size(); ++i)
        if (!is_injective(old_columns[i], new_columns[i], old_columns.size() + i + 1)) return false;
    return true;
}

bool Mapping::forward_is_injective() const {
    if (!is_paired()) return false;
    for (size_t i = 0; i < old_columns.size(); ++i)
        if (!is_injective(new_columns[i], old_columns[i], i + 1)) return false;
    return true;
}

Mapping load_mapping(const Migration &migration) {
    const Rows rows = catalog(R"(SELECT side, name, soak_name, type, expression, total, immutable
                                   FROM zdm.mapped_column
                                  WHERE migration = $1::bigint AND relation = $2::oid
                                  ORDER BY side, ordinal)",
                              {migration.id, migration.relation});
    Mapping mapping;
    for (size_t row = 0; row < rows.size(); ++row) {
        auto &side = rows.text(row, 0) == "old" ? mapping.old_columns : mapping.new_columns;
        side.push_back({rows.text(row, 1), rows.text(row, 2), rows.text(row, 3), rows.text(row, 4),
                        rows.boolean(row, 5), rows.boolean(row, 6)});
    }
    return mapping;
}

void insert_mapping(const Migration &migration, const Mapping &mapping) {
    const auto insert = [&](const char *side, const std::vector<MappedColumn> &columns) {
        int ordinal = 0;
        for (const auto &column : columns)
            catalog(R"(INSERT INTO zdm.mapped_column
                           (migration, relation, side, ordinal, name, soak_name, type, expression, total, immutable)
                       VALUES ($1::bigint, $9::oid, $2, $3::integer, $4, $5, $6, $7, $8::boolean, $10::boolean))",
                    {migration.id, side, ++ordinal, column.name, column.soak_name, column.type,
                     column.expression, column.total, migration.relation, column.immutable});
    };
    insert("old", mapping.old_columns);
    insert("new", mapping.new_columns);
}

std::vector<TwoNames> renames_under_way(uint32_t relation) {
    const Rows rows = catalog(
        R"(SELECT CASE WHEN m.phase = 'soak' THEN n.soak_name ELSE o.name END,
                  CASE WHEN m.phase = 'soak' THEN o.soak_name ELSE n.name END
             FROM zdm.migration m
             JOIN zdm.mapped_column o ON o.migration = m.id AND o.side = 'old'
             JOIN zdm.mapped_column n
               ON (n.migration, n.relation, n.ordinal) = (m.id, o.relation, o.ordinal) AND n.side = 'new'
            WHERE m.kind = 'rename_column' AND m.phase NOT IN ('queued', 'done', 'aborted') AND o.relation = $1::oid
            ORDER BY m.id, o.ordinal)",
        {relation});
    std::vector<TwoNames> renames;
    for (size_t row = 0; row < rows.size(); ++row)
        renames.push_back({rows.text(row, 0), rows.text(row, 1)});
    return renames;
}

SyncArguments::SyncArguments(const Mapping &mapping, const Migration &migration, bool soaking) {
    values_ = {"1", soaking ? "new" : "old", mapping.is_immutable() ? "" : migration.evaluation};
    const auto append = [&](const std::vector<MappedColumn> &columns) {
        values_.push_back(std::to_string(columns.size()));
        for (const auto &column : columns) {
            values_.push_back(column.current_name(soaking));
            values_.push_back(column.expression);
        }
    };
    append(mapping.old_columns);
    append(mapping.new_columns);
    for (const auto &value : values_) pointers_.push_back(value.c_str());
}

}  // namespace zdm
