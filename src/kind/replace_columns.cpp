// replace_columns: new columns that are computed from old ones (full_name from first and last
// name), side by side until contract, both writable. What hangs on the old columns has no single
// successor: NOT NULL and defaults are lifted at cutover, plain indexes go at contract, the rest is
// refused.
#include "kind/direct.hpp"
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"

#include <algorithm>
#include <set>

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

struct Declared {
    std::string name;
    ZdmType type;
};

// "name type", the name quoted or not, as in CREATE TABLE.
Declared parse_declaration(const Table &table, const std::string &text) {
    const Rows rows = query(
        R"(SELECT CASE WHEN m[1] LIKE '"%' THEN replace(substr(m[1], 2, length(m[1]) - 2), '""', '"')
                       ELSE lower(m[1]) END, m[2]
             FROM regexp_match($1, '^\s*("(?:[^"]|"")+"|[^\s"]+)\s+(.+?)\s*$') AS m WHERE m IS NOT NULL)",
        {text});
    if (rows.empty())
        raise(sqlstate::invalid_parameter, {},
              "zdm: cannot replace columns of {}: \"{}\" is not \"name type\"", table.name, text);
    return {rows.text(0, 0), new_column_type(table, rows.text(0, 1))};
}

void complete(Draft &draft, const Table &table, const std::vector<std::string> &old_names,
              const std::vector<Declared> &declared, const std::vector<Text> &forward,
              const std::vector<Text> &reverse) {
    std::set<std::string> names;
    std::vector<Column> columns;
    for (const auto &name : old_names) {
        columns.push_back(column_for_migration(table, name));
        if (!names.insert(name).second)
            raise(sqlstate::duplicate_column, {},
                  "zdm: cannot replace columns of {}: {} is named twice", table.name,
                  Identifier(name));
    }
    std::vector<ZdmColumn> old_parameters, all_parameters;
    for (const auto &column : columns)
        old_parameters.push_back(parameter(column.name, column_type(column)));
    for (const auto &column : columns) {
        // The old columns hold their places in $1, $2 ..., but reverse must not read them.
        const ZdmType type = column_type(column);
        all_parameters.push_back({"", 0, type.oid, type.typmod, type.collation});
    }
    for (const auto &one : declared) {
        check_new_column_name(table, one.name);
        all_parameters.push_back(parameter(one.name, one.type));
    }
    for (size_t i = 0; i < declared.size(); ++i) {
        const auto expression = canonical(
            table, {forward[i].value_or("NULL"), old_parameters, declared[i].type, false});
        draft.mapping.new_columns.push_back({declared[i].name, declared[i].name,
                                             declared[i].type.name, expression.text,
                                             expression.total, expression.immutable});
    }
    for (size_t i = 0; i < columns.size(); ++i) {
        ZdmExpression expression{"", false, true};
        if (!reverse.empty() && reverse[i])
            expression =
                canonical(table, {*reverse[i], all_parameters, column_type(columns[i]), false});
        draft.mapping.old_columns.push_back({columns[i].name, columns[i].name, columns[i].type_name,
                                             expression.text, expression.total,
                                             expression.immutable});
    }
}

}  // namespace

Draft draft_replace_columns(const Table &table, const std::vector<std::string> &old_names,
                            const std::vector<std::string> &declarations,
                            const std::vector<Text> &forward, const std::vector<Text> &reverse) {
    Draft draft;
    draft.kind = "replace_columns";
    if (old_names.empty() || declarations.empty())
        raise(sqlstate::invalid_parameter, {},
              "zdm: cannot replace columns of {}: name at least one old and one new column",
              table.name);
    if (forward.size() != declarations.size())
        raise(sqlstate::invalid_parameter, {},
              "zdm: cannot replace columns of {}: {} new columns need as many forward expressions, "
              "not {}",
              table.name, declarations.size(), forward.size());
    if (!reverse.empty() && reverse.size() != old_names.size())
        raise(sqlstate::invalid_parameter, {},
              "zdm: cannot replace columns of {}: {} old columns need as many reverse expressions, "
              "not {}",
              table.name, old_names.size(), reverse.size());

    std::vector<Declared> declared;
    std::set<std::string> names;
    for (const auto &declaration : declarations) {
        declared.push_back(parse_declaration(table, declaration));
        if (!names.insert(declared.back().name).second)
            raise(sqlstate::duplicate_column, {},
                  "zdm: cannot replace columns of {}: {} is named twice", table.name,
                  Identifier(declared.back().name));
    }
    std::vector<std::string> described, forward_text, reverse_text, quoted_old;
    for (const auto &one : declared)
        described.push_back(fmt::format("{} {}", Identifier(one.name), one.type.name));
    for (const auto &one : forward) forward_text.push_back(one.value_or("NULL"));
    for (const auto &one : reverse) reverse_text.push_back(one.value_or("(none)"));
    for (const auto &name : old_names) quoted_old.push_back(quote(Identifier(name)));
    draft.object = fmt::format("{}", fmt::join(old_names, "_"));
    draft.definition = fmt::format("replace_columns {} by {} forward {} reverse {}",
                                   fmt::join(quoted_old, ", "), fmt::join(described, ", "),
                                   fmt::join(forward_text, ", "), fmt::join(reverse_text, ", "));
    draft.columns = old_names;
    draft.already_so = std::none_of(old_names.begin(), old_names.end(),
                                    [&](const auto &one) { return find_column(table, one); }) &&
                       std::all_of(declared.begin(), declared.end(),
                                   [&](const auto &one) { return find_column(table, one.name); });
    draft.complete = [=](Draft &self) {
        complete(self, table, old_names, declared, forward, reverse);
        self.direct = direct_replacement(table, self.mapping);
    };
    return draft;
}

}  // namespace zdm
