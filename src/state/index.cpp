#include "state/index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

#define ZDM_INDEX_SELECT                                                                     \
    "SELECT c.oid, i.indrelid, c.relname, format('%I.%I', n.nspname, c.relname), "           \
    "       i.indisvalid, c.relkind = 'I', c.relispartition "                                \
    "  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid" \
    "       = c.relnamespace WHERE "

Index from_row(const Rows &rows, size_t row) {
    return {rows.oid(row, 0),     rows.oid(row, 1),     rows.text(row, 2),   rows.text(row, 3),
            rows.boolean(row, 4), rows.boolean(row, 5), rows.boolean(row, 6)};
}

std::optional<Index> first(const Rows &rows) {
    if (rows.empty()) return std::nullopt;
    return from_row(rows, 0);
}

ZdmIndexDefinition parse(const std::string &statement, uint32_t relation) {
    ZdmIndexDefinition definition{};
    check(zdm_index_parse(statement.c_str(), relation, &definition));
    return definition;
}

}  // namespace

std::optional<Index> find_index(uint32_t relation, const std::string &name) {
    return first(
        catalog(ZDM_INDEX_SELECT "i.indrelid = $1::oid AND c.relname = $2", {relation, name}));
}

std::optional<Index> find_index(uint32_t oid) {
    return first(catalog(ZDM_INDEX_SELECT "c.oid = $1::oid", {oid}));
}

std::vector<Index> indexes_of(uint32_t relation) {
    const Rows rows = catalog(ZDM_INDEX_SELECT "i.indrelid = $1::oid ORDER BY c.oid", {relation});
    std::vector<Index> indexes;
    for (size_t row = 0; row < rows.size(); ++row) indexes.push_back(from_row(rows, row));
    return indexes;
}

std::vector<HalfBuiltIndex> half_built_indexes(uint32_t relation) {
    const Rows rows = catalog(
        R"(SELECT c.oid, coalesce(k.oid, 0), m.name, m.state
             FROM zdm.migration m
             JOIN zdm.step s ON s.migration = m.id
              AND s.kind IN ('create_partitioned_index', 'create_partitioned_key', 'build_index')
             JOIN pg_catalog.pg_index i ON i.indrelid = coalesce(nullif(s.related, 0), m.relation)
             JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relname = s.object
             LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = i.indrelid AND k.conindid = i.indexrelid
                  AND k.contype IN ('p', 'u')
            WHERE m.relation = $1::oid AND m.phase NOT IN ('done', 'aborted')
              AND (NOT i.indisvalid OR s.kind = 'build_index')
            ORDER BY m.id, c.oid)",
        {relation});
    std::vector<HalfBuiltIndex> indexes;
    for (size_t row = 0; row < rows.size(); ++row)
        indexes.push_back(
            {rows.oid(row, 0), rows.oid(row, 1), rows.text(row, 2), rows.text(row, 3)});
    return indexes;
}

std::optional<std::string> quoted_relation(uint32_t relation) {
    const Rows rows = catalog(
        R"(SELECT format('%I.%I', n.nspname, c.relname)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid)",
        {relation});
    if (rows.empty()) return std::nullopt;
    return rows.text(0, 0);
}

std::string index_text(const ZdmIndexDefinition &definition, const std::string &table,
                       const std::string &name, IndexBuild how) {
    std::string text =
        fmt::format("CREATE {}INDEX {}{} ON {}{} {}", definition.unique ? "UNIQUE " : "",
                    how == IndexBuild::concurrently ? "CONCURRENTLY " : "", Identifier(name),
                    how == IndexBuild::only ? "ONLY " : "", table, definition.body);
    if (definition.tablespace)
        text += fmt::format(" TABLESPACE {}", Identifier(definition.tablespace));
    if (definition.predicate) text += fmt::format(" WHERE {}", definition.predicate);
    return text;
}

std::string index_text(const std::string &statement, uint32_t relation, const std::string &name,
                       IndexBuild how) {
    const auto table = quoted_relation(relation);
    if (!table) raise(sqlstate::undefined_table, {}, "the table with OID {} was dropped", relation);
    return index_text(parse(statement, relation), *table, name, how);
}

std::string index_meaning(const ZdmIndexDefinition &definition) {
    return fmt::format("{}{}{}{}", definition.unique ? "UNIQUE " : "", definition.body,
                       definition.predicate ? " WHERE " : "",
                       definition.predicate ? definition.predicate : "");
}

std::string index_meaning(const std::string &statement, uint32_t relation) {
    return index_meaning(parse(statement, relation));
}

std::string index_meaning(const Index &index) {
    return index_meaning(query("SELECT pg_get_indexdef($1::oid)", {index.oid}).text(0, 0),
                         index.relation);
}

}  // namespace zdm
