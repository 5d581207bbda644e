// split_table: columns move to a table of their own, with the source's primary key. What hangs on
// them alone is made again there; what ties them to columns that stay, or what reads them from
// outside, stands in the way.
#include <algorithm>

#include "core/user.hpp"
#include "kind/kinds.hpp"
#include "state/index.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

struct Part {
    std::string schema, name;
    std::string quoted;
    std::vector<std::string> keys, columns;  // names
    std::vector<int> attnums;                // of the columns, in the source
};

std::string listed(const std::vector<std::string> &names) {
    std::vector<std::string> quoted;
    for (const auto &name : names) quoted.push_back(quote(Identifier(name)));
    return fmt::format("{}", fmt::join(quoted, ", "));
}

bool contains(const std::vector<std::string> &names, const std::string &name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void refuse(const Table &table, const Part &part, const std::string &why) {
    raise(sqlstate::unsupported, {}, "zdm: cannot split {} of {}: {}", listed(part.columns),
          table.name, why);
}

// "name" beside the source, or "schema.name".
Part named_part(const Table &table, const std::string &new_table) {
    const Rows rows = query(
        "SELECT parts[1], parts[2], cardinality(parts) FROM parse_ident($1) AS "
        "parts",
        {new_table});
    Part part;
    const bool qualified = rows.integer(0, 2) == 2;
    if (rows.integer(0, 2) > 2)
        raise("42601", {}, "zdm: \"{}\" is no name of a table; give name or schema.name",
              new_table);
    part.name = rows.text(0, qualified ? 1 : 0);
    part.schema = qualified ? quote(Identifier(rows.text(0, 0))) : table.schema;
    if (part.name.size() > 63)
        raise("42622", {}, "zdm: \"{}\" cannot be a table's name: a name has 1 to 63 bytes",
              part.name);
    part.quoted = fmt::format("{}.{}", part.schema, Identifier(part.name));
    return part;
}

void read_key(const Table &table, Part &part) {
    const Rows rows = query(
        R"(SELECT a.attname FROM pg_constraint k
             CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS u(n, i)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n
            WHERE k.conrelid = $1::oid AND k.contype = 'p' ORDER BY u.i)",
        {table.relation});
    for (size_t row = 0; row < rows.size(); ++row) part.keys.push_back(rows.text(row, 0));
    if (part.keys.empty())
        refuse(table, part,
               "it has no primary key, by which the rows of the two tables would know each other; "
               "SELECT zdm.add_constraint(...) makes one");
}

void check_columns(const Table &table, Part &part) {
    for (const auto &name : part.columns) {
        const Column column = column_for_migration(table, name);
        part.attnums.push_back(column.attnum);
        if (contains(part.keys, name))
            refuse(table, part,
                   fmt::format("{} is part of the primary key, which both tables get",
                               Identifier(name)));
        if (!query(
                 "SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attnum = $2::smallint AND "
                 "attidentity <> ''",
                 {table.relation, column.attnum})
                 .empty())
            refuse(table, part, fmt::format("{} is an identity column", Identifier(name)));
        if (!query("SELECT FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = "
                   "$1::oid AND objsubid = $2::integer",
                   {table.relation, column.attnum})
                 .empty())
            refuse(table, part,
                   fmt::format("{} has a security label, and what that hides would be read in the "
                               "new table",
                               Identifier(name)));
    }
}

void check_place(const Table &table, const Part &part) {
    const Rows rows = query(
        R"(SELECT to_regclass($1) IS NOT NULL, to_regnamespace($2) IS NOT NULL,
                  has_schema_privilege($3::oid, to_regnamespace($2)::oid, 'CREATE'), $3::oid::regrole)",
        {part.quoted, part.schema, table.owner});
    if (!rows.boolean(0, 1))
        raise("3F000", {}, "zdm: cannot split {}: there is no schema {}", table.name, part.schema);
    if (!rows.boolean(0, 2))
        raise(sqlstate::not_owner, {},
              "zdm: cannot split {}: its owner {} may not create tables in schema {}; GRANT CREATE "
              "ON SCHEMA {} TO {}",
              table.name, rows.text(0, 3), part.schema, part.schema, rows.text(0, 3));
    if (rows.boolean(0, 0))
        raise("42P07", {},
              "zdm: cannot split {}: there is a relation {} already; choose another name",
              table.name, part.quoted);
}

void check_table(const Table &table, const Part &part) {
    check_not_typed(table);  // the columns that move are dropped at contract
    if (table.partitioned)
        refuse(table, part,
               "it is partitioned, and a partition could be emptied or detached without the other "
               "table's knowing");
    if (query("SELECT relrowsecurity FROM pg_class WHERE oid = $1::oid", {table.relation})
            .boolean(0, 0))
        refuse(table, part,
               "it has row level security, and zdm cannot know which rows of the new table "
               "somebody may see");
}

std::string attnum_list(const Part &part) {
    return fmt::format("{{{}}}", fmt::join(part.attnums, ","));
}

// Whoever reads the columns and cannot follow them.
void check_dependents(const Table &table, const Part &part) {
    const Rows rows = query(
        R"(SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ')
             FROM pg_depend d
             LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
             LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
             LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid
              AND d.refobjsubid = ANY ($2::integer[])
              AND NOT coalesce(f.adnum = d.refobjsubid, false)
              AND NOT coalesce(k.conrelid = $1::oid AND k.contype IN ('c', 'f', 'u', 'n')
                               AND NOT (k.contype = 'f' AND k.confrelid = $1::oid AND k.confkey && $2::int2[]), false)
              AND NOT coalesce(c.relkind = 'i' OR (c.relkind = 'S' AND d.deptype = 'a'), false))",
        {table.relation, attnum_list(part)});
    if (rows.null_text(0, 0))
        refuse(table, part,
               fmt::format("{} depends on it; drop or change that first", rows.text(0, 0)));
}

// Types, defaults and all that one column is, without its constraints.
std::string column_text(const Table &table, const std::string &name, bool is_key) {
    const Rows rows = query(
        R"(SELECT format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attcollation <> t.typcollation THEN format(' COLLATE %I.%I', n.nspname, c.collname) ELSE '' END,
                  CASE a.attcompression WHEN 'p' THEN ' COMPRESSION pglz' WHEN 'l' THEN ' COMPRESSION lz4' ELSE '' END,
                  pg_get_expr(d.adbin, d.adrelid), a.attnotnull
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             LEFT JOIN pg_collation c ON c.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = c.collnamespace
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = $1::oid AND a.attname = $2)",
        {table.relation, name});
    std::string text = fmt::format("{} {}{}{}", Identifier(name), rows.text(0, 0), rows.text(0, 2),
                                   rows.text(0, 1));
    if (!is_key && rows.null_text(0, 3)) text += " DEFAULT " + rows.text(0, 3);
    if (rows.boolean(0, 4)) text += " NOT NULL";
    return text;
}

// What reads columns that stay too cannot go with those that move.
void check_strangers(const Table &table, const Part &part, const std::string &object,
                     const std::string &columns) {
    for (const auto &name : split(columns, '\x01'))
        if (!contains(part.keys, name) && !contains(part.columns, name))
            refuse(table, part,
                   fmt::format("{} reads also {}, which stays; drop or change it first", object,
                               Identifier(name)));
}

struct Constraint {
    std::string name, text;
    bool valid = true;
    uint32_t referenced = 0;
};

// CHECKs and foreign keys over columns that move.
std::vector<Constraint> constraints_of(const Table &table, const Part &part,
                                       const std::string &type) {
    const Rows rows = query(
        R"(SELECT k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.confrelid,
                  (SELECT string_agg(a.attname, E'\x01') FROM pg_attribute a
                    WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))
             FROM pg_constraint k
            WHERE k.conrelid = $1::oid AND k.contype = $3 AND k.conkey && $2::int2[] ORDER BY k.conname)",
        {table.relation, attnum_list(part), type});
    std::vector<Constraint> found;
    for (size_t row = 0; row < rows.size(); ++row) {
        check_strangers(table, part, fmt::format("constraint {}", Identifier(rows.text(row, 0))),
                        rows.text(row, 4));
        found.push_back(
            {rows.text(row, 0), rows.text(row, 1), rows.boolean(row, 2), rows.oid(row, 3)});
    }
    return found;
}

struct PartIndex {
    std::string name;        // in the part
    std::string statement;   // of the source's
    std::string constraint;  // " DEFERRABLE ..." of a unique constraint
    bool is_constraint = false;
};

std::vector<PartIndex> indexes_to_move(const Table &table, const Part &part) {
    const Rows rows = query(
        R"(SELECT c.relname, pg_get_indexdef(i.indexrelid), k.oid IS NOT NULL,
                  CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END
                  || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END,
                  (SELECT string_agg(a.attname, E'\x01') FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (r.read)),
                  t.relname
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
             LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'u' AND k.conrelid = i.indrelid
             CROSS JOIN LATERAL (SELECT i.indkey::int2[] || ARRAY(SELECT d.refobjsubid::int2 FROM pg_depend d
                                  WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid) AS read) r
            WHERE i.indrelid = $1::oid AND i.indisvalid AND r.read && $2::int2[] ORDER BY c.relname)",
        {table.relation, attnum_list(part)});
    std::vector<PartIndex> found;
    for (size_t row = 0; row < rows.size(); ++row) {
        check_strangers(table, part, fmt::format("index {}", Identifier(rows.text(row, 0))),
                        rows.text(row, 4));
        found.push_back({part_object_name(rows.text(row, 5), part.name, rows.text(row, 0)),
                         rows.text(row, 1), rows.text(row, 3), rows.boolean(row, 2)});
    }
    return found;
}

// Statements that a query writes, one a row.
std::string written(const Table &table, const Part &part, const char *sql) {
    const Rows rows = query(sql, {table.relation, attnum_list(part), part.quoted});
    std::string text;
    for (size_t row = 0; row < rows.size(); ++row) text += fmt::format(";\n{}", rows.text(row, 0));
    return text;
}

std::string options_text(const Table &table, const Part &part) {
    return written(
        table, part,
        R"(WITH column_of AS (SELECT a.*, t.typstorage FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                                          WHERE a.attrelid = $1::oid AND a.attnum = ANY ($2::int2[]))
                      SELECT format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', $3, a.attname,
                                    CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)
                        FROM column_of a WHERE a.attstorage <> a.typstorage
                      UNION ALL
                      SELECT format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', $3, a.attname, a.attstattarget)
                        FROM column_of a WHERE a.attstattarget >= 0
                      UNION ALL
                      SELECT format('ALTER TABLE %s ALTER COLUMN %I SET (%s = %s)', $3, a.attname, o.option_name, o.option_value)
                        FROM column_of a, pg_options_to_table(a.attoptions) o WHERE o.option_name LIKE 'n\_distinct%'
                      UNION ALL
                      SELECT format('COMMENT ON COLUMN %s.%I IS %L', $3, a.attname, d.description)
                        FROM column_of a JOIN pg_description d ON d.classoid = 'pg_class'::regclass
                                                              AND d.objoid = a.attrelid AND d.objsubid = a.attnum
                      UNION ALL
                      SELECT format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, $3, d.description)
                        FROM pg_constraint k JOIN pg_description d ON d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid
                       WHERE k.conrelid = $1::oid AND k.contype = 'c' AND k.convalidated AND k.conkey && $2::int2[])");
}

std::string grants_text(const Table &table, const Part &part) {
    return written(
        table, part,
        R"(SELECT format('GRANT %s ON %s TO %s%s', g.privilege_type, $3, coalesce(quote_ident(r.rolname), 'PUBLIC'),
                                    CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
                       WHERE c.oid = $1::oid AND g.grantee <> c.relowner
                      UNION ALL
                      SELECT format('GRANT %s (%I) ON %s TO %s%s', g.privilege_type, a.attname, $3, coalesce(quote_ident(r.rolname), 'PUBLIC'),
                                    CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                        FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
                       WHERE a.attrelid = $1::oid AND (a.attnum = ANY ($2::int2[]) OR a.attnum IN
                             (SELECT unnest(k.conkey) FROM pg_constraint k WHERE k.conrelid = $1::oid AND k.contype = 'p')))");
}

// All that must be there from the first row on.
std::string create_text(const Table &table, const Part &part) {
    std::vector<std::string> lines;
    for (const auto &name : part.keys) lines.push_back(column_text(table, name, true));
    for (const auto &name : part.columns) lines.push_back(column_text(table, name, false));
    lines.push_back(fmt::format("PRIMARY KEY ({})", listed(part.keys)));
    for (const auto &check : constraints_of(table, part, "c"))
        if (check.valid)
            lines.push_back(fmt::format("CONSTRAINT {} {}", Identifier(check.name), check.text));
    const Rows rows = query(
        R"(SELECT CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END,
                  CASE WHEN s.spcname IS NULL THEN '' ELSE format(' TABLESPACE %I', s.spcname) END
             FROM pg_class c LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = $1::oid)",
        {table.relation});
    return fmt::format("CREATE {}TABLE {} ({}){}{}{}", rows.text(0, 0), part.quoted,
                       fmt::join(lines, ", "), rows.text(0, 1), options_text(table, part),
                       grants_text(table, part));
}

std::string link_text(const Table &table, const Part &part) {
    return fmt::format(
        "ADD FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE CASCADE ON DELETE CASCADE",
        listed(part.keys), table.quoted, listed(part.keys));
}

void warn_if_published(Draft &draft, const Table &table, const Part &part) {
    const Rows rows = query(
        R"(SELECT string_agg(quote_ident(p.pubname), ', ') FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
            WHERE r.prrelid = $1::oid)",
        {table.relation});
    if (rows.null_text(0, 0))
        draft.warnings.push_back(
            fmt::format("zdm: {} is published by {}; the new table {} is not: add it there, and "
                        "create it on the subscribers, before cutover",
                        table.name, rows.text(0, 0), part.quoted));
}

void add_index_steps(Draft &draft, const Part &part, const PartIndex &index) {
    draft.steps.push_back({0, Phase::build, "build_part_index", index.name,
                           fmt::format("Build index {} of the new table", Identifier(index.name)),
                           index.statement, "SHARE UPDATE EXCLUSIVE"});
    if (!index.is_constraint) return;
    draft.steps.push_back(
        {0, Phase::build, "part_constraint", index.name,
         fmt::format("Make the index a unique constraint of {}", part.quoted),
         fmt::format("ADD CONSTRAINT {} UNIQUE USING INDEX {}{}", Identifier(index.name),
                     Identifier(index.name), index.constraint),
         "ACCESS EXCLUSIVE"});
}

void add_constraint_steps(Draft &draft, const Constraint &constraint) {
    const bool refers = constraint.referenced != 0;
    Step add{0,
             Phase::build,
             "part_constraint",
             constraint.name,
             fmt::format("Demand of new rows: {}", constraint.text),
             fmt::format("ADD CONSTRAINT {} {}{}", Identifier(constraint.name), constraint.text,
                         constraint.valid ? " NOT VALID" : ""),
             refers ? "SHARE ROW EXCLUSIVE" : "ACCESS EXCLUSIVE"};
    add.related = constraint.referenced;
    draft.steps.push_back(add);
    if (!refers || !constraint.valid) return;
    Step prove{0,
               Phase::build,
               "prove_part_constraint",
               constraint.name,
               fmt::format("Prove constraint {} for every row", Identifier(constraint.name)),
               "",
               "SHARE UPDATE EXCLUSIVE"};
    prove.related = constraint.referenced;
    draft.steps.push_back(prove);
}

// The server refers to no key that it checks later.
bool key_is_deferrable(const Table &table) {
    return query(
               "SELECT condeferrable FROM pg_constraint WHERE conrelid = $1::oid AND contype = "
               "'p'",
               {table.relation})
        .boolean(0, 0);
}

void add_contract_steps(Draft &draft, const Table &table, const Part &part) {
    Step link{0,
              Phase::done,
              "part_constraint",
              "",
              "A foreign key ties the two tables for new rows",
              link_text(table, part) + " NOT VALID",
              "SHARE ROW EXCLUSIVE"};
    Step prove{0,
               Phase::done,
               "prove_part_constraint",
               "",
               "Prove the foreign key for every row",
               "",
               "SHARE UPDATE EXCLUSIVE"};
    link.related = prove.related = table.relation;
    std::vector<std::string> drops;
    for (const auto &name : part.columns)
        drops.push_back(fmt::format("DROP COLUMN {}", Identifier(name)));
    if (!key_is_deferrable(table)) {
        draft.steps.push_back(link);
        draft.steps.push_back(prove);
    }
    draft.steps.push_back({0, Phase::done, "split_contract", "",
                           "Drop the triggers, and the columns from the wide table",
                           fmt::format("ALTER TABLE {} {}", table.quoted, fmt::join(drops, ", ")),
                           "ACCESS EXCLUSIVE"});
}

std::vector<std::string> plain_ddl(const Table &table, const Part &part, const std::string &create,
                                   const std::vector<PartIndex> &indexes,
                                   const std::vector<Constraint> &constraints) {
    std::vector<std::string> ddl{
        create,
        fmt::format("INSERT INTO {} ({}, {}) SELECT {}, {} FROM {}", part.quoted, listed(part.keys),
                    listed(part.columns), listed(part.keys), listed(part.columns), table.quoted)};
    const std::string alter = fmt::format("ALTER TABLE {} ", part.quoted);
    for (const auto &index : indexes) {
        ZdmIndexDefinition definition{};
        check(zdm_index_parse(index.statement.c_str(), table.relation, &definition));
        ddl.push_back(index_text(definition, part.quoted, index.name, IndexBuild::plain));
        if (index.is_constraint)
            ddl.push_back(fmt::format("{}ADD CONSTRAINT {} UNIQUE USING INDEX {}{}", alter,
                                      Identifier(index.name), Identifier(index.name),
                                      index.constraint));
    }
    for (const auto &constraint : constraints)
        ddl.push_back(fmt::format("{}ADD CONSTRAINT {} {}", alter, Identifier(constraint.name),
                                  constraint.text));
    if (!key_is_deferrable(table)) ddl.push_back(alter + link_text(table, part));
    for (const auto &name : part.columns) {
        const Rows rows = query("SELECT pg_get_serial_sequence($1, $2)", {table.quoted, name});
        if (rows.null_text(0, 0))
            ddl.push_back(fmt::format("ALTER SEQUENCE {} OWNED BY {}.{}", rows.text(0, 0),
                                      part.quoted, Identifier(name)));
        ddl.push_back(fmt::format("ALTER TABLE {} DROP COLUMN {}", table.quoted, Identifier(name)));
    }
    return ddl;
}

void check_names(const Table &table, const Part &part, const std::vector<PartIndex> &indexes) {
    for (const auto &index : indexes)
        if (query("SELECT to_regclass($1) IS NOT NULL",
                  {fmt::format("{}.{}", part.schema, Identifier(index.name))})
                .boolean(0, 0))
            refuse(table, part,
                   fmt::format("the new table's index would be called {}, and there is a relation "
                               "of that name; rename that first",
                               Identifier(index.name)));
}

void complete(Draft &draft, const Table &table, Part part) {
    check_table(table, part);
    read_key(table, part);
    check_columns(table, part);
    check_place(table, part);
    check_dependents(table, part);
    const auto indexes = indexes_to_move(table, part);
    check_names(table, part, indexes);
    // A CHECK that is not valid yet would fail the copying of rows that break it.
    std::vector<Constraint> later;
    for (const auto &check : constraints_of(table, part, "c"))
        if (!check.valid) later.push_back(check);
    for (const auto &key : constraints_of(table, part, "f")) later.push_back(key);
    warn_if_published(draft, table, part);
    if (key_is_deferrable(table))
        draft.warnings.push_back(
            fmt::format("zdm: the primary key of {} is deferrable, so no foreign key can refer to "
                        "it: after contract nothing ties {} to it",
                        table.name, part.quoted));

    for (size_t i = 0; i < part.columns.size(); ++i)
        draft.mapping.old_columns.push_back({part.columns[i], part.columns[i],
                                             find_column(table, part.columns[i])->type_name, "",
                                             true});
    const std::string create = create_text(table, part);
    draft.steps = {{0, Phase::expand, "split_expand", part.quoted,
                    "Create the new table, and the triggers that keep both tables equal", create,
                    "SHARE ROW EXCLUSIVE"},
                   {0, Phase::backfill, "split_backfill", part.quoted,
                    "Copy the rows that were there before", "", ""}};
    for (const auto &index : indexes) add_index_steps(draft, part, index);
    for (const auto &constraint : later) add_constraint_steps(draft, constraint);
    draft.steps.push_back({0, Phase::verify, "split_verify", part.quoted,
                           "Compare the two tables, row by row", "", ""});
    draft.steps.push_back({0, Phase::soak, "split_cutover", part.quoted,
                           "Trust the new table; the wide one demands the columns no more", "",
                           "ACCESS EXCLUSIVE"});
    add_contract_steps(draft, table, part);
    draft.direct = plain_ddl(table, part, create, indexes, later);
}

}  // namespace

Draft draft_split_table(const Table &table, const std::string &new_table,
                        const std::vector<std::string> &columns) {
    Part part = named_part(table, new_table);
    part.columns = columns;
    if (columns.empty())
        raise(sqlstate::invalid_parameter, {}, "zdm: cannot split {}: name the columns that move",
              table.name);
    for (auto column = columns.begin(); column != columns.end(); ++column)
        if (std::find(column + 1, columns.end(), *column) != columns.end())
            raise(sqlstate::duplicate_column, {}, "zdm: cannot split {}: column {} is named twice",
                  table.name, Identifier(*column));
    Draft draft;
    draft.kind = "split_table";
    draft.object = part.name;
    draft.columns = columns;
    draft.definition = fmt::format("split_table {} ({})", part.quoted, listed(columns));
    draft.already_so = query("SELECT to_regclass($1) IS NOT NULL", {part.quoted}).boolean(0, 0) &&
                       std::none_of(columns.begin(), columns.end(), [&](const std::string &name) {
                           return find_column(table, name).has_value();
                       });
    draft.complete = [=](Draft &self) { complete(self, table, part); };
    return draft;
}

}  // namespace zdm
