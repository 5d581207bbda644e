#include "kind/direct.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

std::vector<std::string> names_of(const std::vector<MappedColumn> &columns) {
    std::vector<std::string> names;
    for (const auto &column : columns) names.push_back(quote(Identifier(column.name)));
    return names;
}

std::string forward(const Mapping &mapping, size_t column) {
    return with_parameters(mapping.new_columns.at(column).expression,
                           names_of(mapping.old_columns));
}

// The server does not say in its message which view it is.
void check_no_views(const Table &table, const Mapping &mapping) {
    std::vector<std::string> names;
    for (const auto &column : mapping.old_columns) names.push_back(column.name);
    const Rows rows = query(
        R"(SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.relname), ', ')
             FROM pg_depend d
             JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
             JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid
              AND a.attname = ANY (string_to_array($2, E'\x01')))",
        {table.relation, fmt::format("{}", fmt::join(names, "\x01"))});
    if (rows.null_text(0, 0))
        raise(
            sqlstate::unsupported, {},
            "zdm: cannot change the type of {} of {} with zdm.mode = direct: {} reads it, and the "
            "server's plain DDL refuses that; SET zdm.mode = online for it, or drop the view "
            "before and create it after",
            fmt::join(names, ", "), table.name, rows.text(0, 0));
}

void check_not_read_by_generated(const Table &table, const Mapping &mapping) {
    std::vector<std::string> names;
    for (const auto &column : mapping.old_columns) names.push_back(column.name);
    const Rows rows = query(
        R"(SELECT string_agg(DISTINCT quote_ident(g.attname), ', ')
             FROM pg_depend d
             JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             JOIN pg_attrdef f ON f.oid = d.objid AND d.classid = 'pg_attrdef'::regclass
             JOIN pg_attribute g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND g.attgenerated <> ''
              AND a.attname = ANY (string_to_array($2, E'\x01')))",
        {table.relation, fmt::format("{}", fmt::join(names, "\x01"))});
    if (rows.null_text(0, 0))
        raise(sqlstate::unsupported, {},
              "zdm: cannot change the type of {} of {} with zdm.mode = direct: generated column {} "
              "reads it, and the server's plain DDL refuses that; SET zdm.mode = online for it, or "
              "drop the generated column before and add it after",
              fmt::join(names, ", "), table.name, rows.text(0, 0));
}

// The server would cast the default by itself only where an assignment cast exists.
std::string type_change(const Table &table, const Mapping &mapping) {
    std::vector<std::string> changes;
    for (size_t i = 0; i < mapping.old_columns.size(); ++i) {
        const Identifier column(mapping.old_columns[i].name);
        const Rows rows = query(
            R"(SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
                 JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                WHERE d.adrelid = $1::oid AND a.attname = $2)",
            {table.relation, mapping.old_columns[i].name});
        if (!rows.empty()) changes.push_back(fmt::format("ALTER COLUMN {} DROP DEFAULT", column));
        changes.push_back(fmt::format("ALTER COLUMN {} TYPE {} USING {}", column,
                                      mapping.new_columns[i].type, forward(mapping, i)));
        if (!rows.empty())
            changes.push_back(
                fmt::format("ALTER COLUMN {} SET DEFAULT {}", column, rows.text(0, 0)));
    }
    return fmt::format("ALTER TABLE {} {}", table.quoted, fmt::join(changes, ", "));
}

struct ForeignKeys {
    std::vector<std::string> drop, add;
};

// In between the two ends would be of different types.
ForeignKeys keys_among(const std::vector<uint32_t> &tables) {
    const Rows rows = query(
        R"(SELECT format('%I.%I', n.nspname, c.relname), quote_ident(k.conname), pg_get_constraintdef(k.oid),
                  obj_description(k.oid, 'pg_constraint')
             FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE k.contype = 'f' AND k.conparentid = 0
              AND k.conrelid = ANY (string_to_array($1, ' ')::oid[])
              AND k.confrelid = ANY (string_to_array($1, ' ')::oid[])
            ORDER BY k.oid)",
        {fmt::format("{}", fmt::join(tables, " "))});
    ForeignKeys keys;
    for (size_t row = 0; row < rows.size(); ++row) {
        const std::string table = rows.text(row, 0), name = rows.text(row, 1);
        keys.drop.push_back(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", table, name));
        keys.add.push_back(
            fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}", table, name, rows.text(row, 2)));
        if (rows.null_text(row, 3))
            keys.add.push_back(fmt::format("COMMENT ON CONSTRAINT {} ON {} IS {}", name, table,
                                           Literal(rows.text(row, 3))));
    }
    return keys;
}

void append(std::vector<std::string> &statements, const std::vector<std::string> &more) {
    statements.insert(statements.end(), more.begin(), more.end());
}

}  // namespace

std::vector<std::string> direct_type_change(const Table &table, const Draft &draft) {
    if (!zdm_settings().direct) return {};
    check_no_views(table, draft.mapping);
    check_not_read_by_generated(table, draft.mapping);
    for (const auto &[other, mapping] : draft.further) {
        check_no_views(other, mapping);
        check_not_read_by_generated(other, mapping);
    }
    std::vector<uint32_t> tables{table.relation};
    for (const auto &[other, mapping] : draft.further) tables.push_back(other.relation);
    const bool one_column = tables.size() == 1 && draft.mapping.old_columns.size() == 1;
    const ForeignKeys keys = one_column ? ForeignKeys() : keys_among(tables);

    std::vector<std::string> statements = keys.drop;
    statements.push_back(type_change(table, draft.mapping));
    for (const auto &[other, mapping] : draft.further)
        statements.push_back(type_change(other, mapping));
    append(statements, keys.add);
    return statements;
}

std::vector<std::string> direct_replacement(const Table &table, const Mapping &mapping) {
    std::vector<std::string> added, set, dropped;
    for (size_t i = 0; i < mapping.new_columns.size(); ++i) {
        const auto &column = mapping.new_columns[i];
        added.push_back(fmt::format("ADD COLUMN {} {}", Identifier(column.name), column.type));
        set.push_back(fmt::format("{} = {}", Identifier(column.name), forward(mapping, i)));
    }
    for (const auto &name : names_of(mapping.old_columns)) dropped.push_back("DROP COLUMN " + name);
    return {fmt::format("ALTER TABLE {} {}", table.quoted, fmt::join(added, ", ")),
            fmt::format("UPDATE {} SET {}", table.quoted, fmt::join(set, ", ")),
            fmt::format("ALTER TABLE {} {}", table.quoted, fmt::join(dropped, ", "))};
}

}  // namespace zdm
