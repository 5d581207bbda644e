#include "kind/draft.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

Table table_for_migration(uint32_t relation, Reach reach) {
    const Rows rows = query(
        R"(SELECT c.relkind, c.relpersistence, c.relispartition, c.relowner,
                  CASE WHEN c.relpersistence = 't' THEN 'pg_temp' ELSE n.nspname END, c.relname,
                  format('%I.%I', n.nspname, c.relname),
                  pg_has_role(c.relowner, 'USAGE'), coalesce(am.amname, ''),
                  c.oid < 16384 OR n.nspname IN ('pg_catalog', 'information_schema', 'pg_toast', 'zdm'),
                  EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid),
                  (SELECT format('%I.%I', pn.nspname, p.relname)
                     FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
                    WHERE i.inhrelid = c.oid LIMIT 1),
                  pg_is_in_recovery(),
                  (SELECT string_agg(format('%s (%s)', l.relname, coalesce(lam.amname, 'not a table of rows')), ', ')
                     FROM pg_partition_tree(c.oid::regclass) t JOIN pg_class l ON l.oid = t.relid
                     LEFT JOIN pg_am lam ON lam.oid = l.relam
                    WHERE t.isleaf AND c.relkind = 'p' AND (l.relkind <> 'r' OR lam.amname <> 'heap')),
                  has_schema_privilege(c.relowner, n.oid, 'CREATE'), c.relowner::regrole, n.nspname,
                  CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
                  pg_is_other_temp_schema(n.oid)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_am am ON am.oid = c.relam
            WHERE c.oid = $1::oid)",
        {relation});
    if (rows.empty())
        raise(sqlstate::undefined_table, {}, "zdm: there is no table with OID {}", relation);
    Table table;
    table.relation = relation;
    table.owner = rows.oid(0, 3);
    table.name = fmt::format("{}.{}", rows.text(0, 4), rows.text(0, 5));
    table.quoted = rows.text(0, 6);
    table.schema = quote(Identifier(rows.text(0, 16)));
    table.of_type = rows.text(0, 17);
    const std::string relkind = rows.text(0, 0);
    const bool alone = reach == Reach::one_table;
    table.partitioned = relkind == "p";

    if (rows.boolean(0, 12))
        raise(
            sqlstate::read_only, {},
            "zdm: cannot start a migration of {}: this server is a standby; call it on the primary",
            table.name);
    if (rows.boolean(0, 9))
        raise(sqlstate::not_owner, {},
              "zdm: {} is a system catalog or belongs to zdm: it cannot be migrated", table.name);
    const auto refuse = [&](const std::string &why) {
        raise(sqlstate::unsupported, {}, "zdm: cannot migrate {}: {}", table.name, why);
    };
    if (relkind == "v") refuse("it is a view; name the table that it reads");
    if (relkind == "m" && !alone) refuse("it is a materialized view; name the table that it reads");
    if (relkind == "f") refuse("it is a foreign table; migrate it on the server that has its rows");
    if (relkind == "i" || relkind == "I") refuse("it is an index; name its table");
    if (relkind != "r" && relkind != "p" && relkind != "m") refuse("it is not a table");
    if (!rows.boolean(0, 7))
        raise(sqlstate::not_owner, {}, "zdm: must be owner of table {} to migrate it", table.name);
    if (rows.text(0, 1) == "t" && !zdm_settings().direct)
        refuse("it is a temporary table, which the worker cannot see; use ALTER TABLE");
    if (rows.boolean(0, 18))
        refuse("it is a temporary table of another session, which alone can see it");
    if (relkind == "r" && rows.text(0, 8) != "heap")
        refuse(fmt::format("its access method is {}; zdm works on heap tables", rows.text(0, 8)));
    if (rows.boolean(0, 2) && !alone)
        refuse(fmt::format("it is a partition; migrate its parent {}", rows.text(0, 11)));
    if (relkind == "r" && rows.boolean(0, 10) && !alone)
        refuse("it is part of an inheritance tree; only declarative partitioning is supported");
    if (rows.null_text(0, 13))
        refuse(fmt::format("not all of its partitions are heap tables: {}", rows.text(0, 13)));
    if (!rows.boolean(0, 14))
        raise(sqlstate::not_owner, {},
              "zdm: cannot migrate {}: its owner {} may not create indexes in schema {}; GRANT "
              "CREATE ON "
              "SCHEMA {} TO {}",
              table.name, rows.text(0, 15), Identifier(rows.text(0, 16)),
              Identifier(rows.text(0, 16)), rows.text(0, 15));
    return table;
}

std::optional<Column> find_column(const Table &table, const std::string &name) {
    const Rows rows = query(
        R"(SELECT attname, attnum, atttypid, atttypmod, attcollation, format_type(atttypid, atttypmod)
             FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND attnum > 0 AND NOT attisdropped)",
        {table.relation, name});
    if (rows.empty()) return std::nullopt;
    return Column{rows.text(0, 0), static_cast<int>(rows.integer(0, 1)),
                  rows.oid(0, 2),  static_cast<int32_t>(rows.integer(0, 3)),
                  rows.oid(0, 4),  rows.text(0, 5)};
}

Column column_for_migration(const Table &table, const std::string &name) {
    const auto column = find_column(table, name);
    if (!column)
        raise(sqlstate::undefined_column, {}, "zdm: table {} has no column {}", table.name,
              Identifier(name));
    const Rows rows = query(
        R"(SELECT a.attgenerated,
                  EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = a.attrelid AND a.attnum = ANY (p.partattrs::int2[]))
             FROM pg_attribute a
            WHERE a.attrelid = $1::oid AND a.attnum = $2::smallint)",
        {table.relation, column->attnum});
    const auto refuse = [&](const char *what, const char *instead) {
        raise(sqlstate::unsupported, {}, "zdm: cannot change column {} of {}: it {}; {}",
              Identifier(name), table.name, what, instead);
    };
    if (!rows.text(0, 0).empty())
        refuse("is a generated column",
               "change the columns that it is computed from, or drop and add it");
    if (rows.boolean(0, 1)) refuse("is part of the partition key", "it cannot be changed at all");
    return *column;
}

void check_not_typed(const Table &table) {
    if (!table.of_type.empty())
        raise(sqlstate::unsupported, {},
              "zdm: cannot change the columns of {}: it is a typed table, which has those of type "
              "{}; ALTER TABLE {} NOT OF (a short ACCESS EXCLUSIVE lock) makes it one of its own "
              "first",
              table.name, table.of_type, table.quoted);
}

void check_new_column_name(const Table &table, const std::string &name) {
    check_not_typed(table);
    if (name.empty() || name.size() > 63)
        raise("42622", {}, "zdm: \"{}\" cannot be a column name of {}: a name has 1 to 63 bytes",
              name, table.name);
    if (find_column(table, name))
        raise(sqlstate::duplicate_column, {}, "zdm: table {} has a column {} already", table.name,
              Identifier(name));
    if (!query("SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND attnum < 0",
               {table.relation, name})
             .empty())
        raise(sqlstate::duplicate_column, {}, "zdm: {} is the name of a system column",
              Identifier(name));
}

}  // namespace zdm
