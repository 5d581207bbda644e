#include "state/mapping.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace zdm {

bool Mapping::revertible() const {
    return std::all_of(old_columns.begin(), old_columns.end(),
                       [](const MappedColumn &column) { return !column.expression.empty(); });
}

bool Mapping::reverse_is_total() const {
    return revertible() && std::all_of(old_columns.begin(), old_columns.end(),
                                       [](const MappedColumn &column) { return column.total; });
}

bool Mapping::reverse_is_injective() const {
    if (!is_pair() || !revertible()) return false;
    const auto &old_column = old_columns[0];
    const auto is_integer = [](const std::string &type) {
        return type == "smallint" || type == "integer" || type == "bigint";
    };
    if (old_column.expression == "$2" && old_column.type == new_columns[0].type) return true;
    return is_integer(old_column.type) && is_integer(new_columns[0].type) &&
           (old_column.expression == "$2" ||
            old_column.expression == fmt::format("($2)::{}", old_column.type) ||
            old_column.expression == fmt::format("$2::{}", old_column.type));
}

Mapping load_mapping(int64_t migration) {
    const Rows rows = catalog(R"(SELECT side, name, soak_name, type, expression, total
                                   FROM zdm.mapped_column WHERE migration = $1::bigint
                                  ORDER BY side, ordinal)",
                              {migration});
    Mapping mapping;
    for (size_t row = 0; row < rows.size(); ++row) {
        auto &side = rows.text(row, 0) == "old" ? mapping.old_columns : mapping.new_columns;
        side.push_back({rows.text(row, 1), rows.text(row, 2), rows.text(row, 3), rows.text(row, 4),
                        rows.boolean(row, 5)});
    }
    return mapping;
}

void insert_mapping(int64_t migration, const Mapping &mapping) {
    const auto insert = [&](const char *side, const std::vector<MappedColumn> &columns) {
        int ordinal = 0;
        for (const auto &column : columns)
            catalog(R"(INSERT INTO zdm.mapped_column
                           (migration, side, ordinal, name, soak_name, type, expression, total)
                       VALUES ($1::bigint, $2, $3::integer, $4, $5, $6, $7, $8::boolean))",
                    {migration, side, ++ordinal, column.name, column.soak_name, column.type,
                     column.expression, column.total});
    };
    insert("old", mapping.old_columns);
    insert("new", mapping.new_columns);
}

SyncArguments::SyncArguments(const Mapping &mapping, const Migration &migration, bool soaking) {
    values_ = {"1", soaking ? "new" : "old", migration.evaluation};
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
