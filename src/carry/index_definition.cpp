#include "carry/index_definition.hpp"

#include "state/index.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// One key or included column as CREATE INDEX writes it.
std::string key_definition(const CarryScope &scope, const Rows &keys, size_t row, Side side,
                           Names names, const std::string &object) {
    const std::string attribute = keys.text(row, 0);
    const bool is_expression = !keys.null_text(row, 0);
    std::optional<size_t> pair;
    if (!is_expression) pair = pair_at(scope, attribute);
    std::string text;
    if (is_expression)
        text = fmt::format("({})", rebound(scope, keys.text(row, 1), side, names, object));
    else
        text = quote(Identifier(pair ? name_of(column_at(scope, side, *pair), names) : attribute));
    if (keys.boolean(row, 2)) return text;  // INCLUDE takes a bare column

    // The mapped column's own collation comes with its type; any other stays as it is.
    if (!keys.text(row, 3).empty()) text += " COLLATE " + keys.text(row, 3);
    if (!keys.text(row, 4).empty()) text += " " + keys.text(row, 4);
    if (!keys.text(row, 5).empty()) text += fmt::format(" ({})", keys.text(row, 5));
    text += keys.text(row, 6);

    if (pair && side == Side::new_side && keys.text(row, 4).empty()) {
        ZdmType type{};
        bool has = false;
        check(zdm_type_parse(column_at(scope, side, *pair).type.c_str(), true, &type));
        check(zdm_has_default_opclass(type.oid, keys.oid(row, 7), &has));
        if (!has)
            raise(sqlstate::unsupported, {},
                  "zdm: {}: {} has no operator class for that type; drop the index first",
                  described(scope), object);
    }
    return text;
}

}  // namespace

std::string index_definition(const CarryScope &scope, uint32_t index, const std::string &index_name,
                             Side side, Names names) {
    return index_definition(scope, index, {index_name, scope.table, true}, side, names);
}

std::string index_definition(const CarryScope &scope, uint32_t index, const IndexPlace &place,
                             Side side, Names names) {
    const Rows head = query(
        R"(SELECT i.indisunique, m.amname, i.indnkeyatts, c.relname,
                  pg_get_expr(i.indpred, i.indrelid),
                  (SELECT string_agg(quote_ident(o.option_name) || '=' || quote_literal(o.option_value), ', ')
                     FROM pg_options_to_table(c.reloptions) o),
                  (SELECT quote_ident(t.spcname) FROM pg_tablespace t WHERE t.oid = c.reltablespace),
                  coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
            WHERE i.indexrelid = $1::oid)",
        {index});
    const Rows keys = query(
        R"(SELECT a.attname, pg_get_indexdef(i.indexrelid, k.n, false), k.n > i.indnkeyatts,
                  CASE WHEN k.coll <> 0 AND k.coll <> coalesce(a.attcollation, 0)
                            AND (a.attname IS NOT NULL OR k.coll <> 100)
                       THEN (SELECT format('%I.%I', n.nspname, c.collname) FROM pg_collation c
                               JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = k.coll) END,
                  CASE WHEN NOT o.opcdefault OR options.given IS NOT NULL
                       THEN (SELECT format('%I.%I', n.nspname, o.opcname) FROM pg_namespace n WHERE n.oid = o.opcnamespace) END,
                  options.given,
                  CASE WHEN m.amname <> 'btree' THEN ''
                       ELSE CASE k.opt & 3 WHEN 1 THEN ' DESC NULLS LAST' WHEN 2 THEN ' NULLS FIRST'
                                           WHEN 3 THEN ' DESC' ELSE '' END END,
                  m.oid
             FROM pg_index i
             JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
             CROSS JOIN LATERAL (
                 SELECT g.n, i.indkey[g.n - 1] AS attnum, i.indcollation[g.n - 1] AS coll,
                        i.indclass[g.n - 1] AS opclass, i.indoption[g.n - 1] AS opt
                   FROM generate_series(1, i.indnatts) AS g(n)) k
             LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum <> 0
             LEFT JOIN pg_attribute ia ON ia.attrelid = i.indexrelid AND ia.attnum = k.n
             LEFT JOIN pg_opclass o ON o.oid = k.opclass
             -- Servers since 15.20 keep a stamp of their own (pg_attver) among the options.
             LEFT JOIN LATERAL (
                 SELECT string_agg(quote_ident(p.option_name) || '=' || quote_literal(p.option_value), ', ') AS given
                   FROM pg_options_to_table(ia.attoptions) p WHERE p.option_name <> 'pg_attver') options ON true
            WHERE i.indexrelid = $1::oid ORDER BY k.n)",
        {index});

    const std::string object = fmt::format("index {}", Identifier(head.text(0, 3)));
    std::vector<std::string> key_columns, included;
    for (size_t row = 0; row < keys.size(); ++row)
        (keys.boolean(row, 2) ? included : key_columns)
            .push_back(key_definition(scope, keys, row, side, names, object));

    std::string text =
        fmt::format("CREATE {}INDEX {}{} ON {} USING {} ({})", head.boolean(0, 0) ? "UNIQUE " : "",
                    place.concurrently ? "CONCURRENTLY " : "", Identifier(place.index_name),
                    place.table, Identifier(head.text(0, 1)), fmt::join(key_columns, ", "));
    if (!included.empty()) text += fmt::format(" INCLUDE ({})", fmt::join(included, ", "));
    if (head.boolean(0, 7)) text += " NULLS NOT DISTINCT";
    if (head.null_text(0, 5)) text += fmt::format(" WITH ({})", head.text(0, 5));
    if (head.null_text(0, 6)) text += fmt::format(" TABLESPACE {}", head.text(0, 6));
    if (head.null_text(0, 4))
        text += fmt::format(" WHERE {}", rebound(scope, head.text(0, 4), side, names, object));
    return text;
}

std::string building_index(const std::string &index) {
    return fmt::format("Build index {} beside the writes", Identifier(index));
}

Step create_index_step(Phase phase, const std::string &index, const std::string &definition) {
    return {0,
            phase,
            "create_index",
            index,
            building_index(index),
            definition,
            "SHARE UPDATE EXCLUSIVE"};
}

Step drop_index_step(const CarryScope &scope, Phase phase, const std::string &index) {
    return {0,
            phase,
            "drop_index",
            index,
            fmt::format("Drop index {} beside the writes", Identifier(index)),
            fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", scope.schema, Identifier(index)),
            "SHARE UPDATE EXCLUSIVE"};
}

void set_unique(const CarryScope &scope, const Carried &carried, const std::string &index,
                bool unique) {
    if (!makes_unique_index(carried.definition)) return;
    check(zdm_index_set_unique(index_there(scope, scope.migration.relation, index).oid, unique));
}

namespace {

std::vector<uint32_t> with_its_partitions(const CarryScope &scope) {
    if (!scope.partitioned) return {scope.migration.relation};
    return query("SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)",
                 {scope.migration.relation})
        .oids();
}

// One look at all tables, for it happens under the lock. From each table to its own indexes:
// without OFFSET 0 the planner, which takes catalogs for small, begins with all partitions there
// are.
void rename_index_columns(const std::vector<std::string> &renames, bool of_partitions) {
    const Rows rows = query(fmt::format(
                                R"(SELECT i.name, r.before, r.now
                 FROM (VALUES {}) AS r(relation, before, now)
                CROSS JOIN LATERAL (
                      SELECT format('%I.%I', n.nspname, c.relname) AS name
                        FROM pg_index x
                        JOIN pg_class c ON c.oid = x.indexrelid
                        JOIN pg_namespace n ON n.oid = c.relnamespace
                        JOIN pg_attribute a ON a.attrelid = x.indexrelid AND a.attname = r.before
                        JOIN pg_attribute o ON o.attrelid = x.indrelid AND o.attname = r.now
                                           AND o.attnum = x.indkey[a.attnum - 1]
                       WHERE x.indrelid = r.relation AND c.relispartition = $1::boolean
                         AND NOT EXISTS (SELECT FROM pg_attribute t
                                          WHERE t.attrelid = x.indexrelid AND t.attname = r.now)
                      OFFSET 0) AS i)",
                                fmt::join(renames, ", ")),
                            {of_partitions});
    for (size_t row = 0; row < rows.size(); ++row)
        query(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", rows.text(row, 0),
                          Identifier(rows.text(row, 1)), Identifier(rows.text(row, 2))));
}

}  // namespace

bool makes_unique_index(const std::string &definition) {
    return definition.rfind("CREATE UNIQUE ", 0) == 0;
}

std::string without_unique(const std::string &definition) {
    const std::string word = "UNIQUE ";
    return definition.substr(0, definition.find(word)) +
           definition.substr(definition.find(word) + word.size());
}

bool can_be_deferrable(const Mapping &mapping) {
    return mapping.forward_is_injective() && mapping.reverse_is_injective();
}

bool can_stay_in_soak(const CarryScope &scope, uint32_t index) {
    if (scope.mapping.reverse_is_identity()) return true;
    bool total = false;
    check(zdm_index_is_total(index, &total));
    return total && (scope.mapping.reverse_is_injective() ||
                     !query("SELECT indisunique FROM pg_index WHERE indexrelid = $1::oid", {index})
                          .boolean(0, 0));
}

void name_index_columns(const std::vector<const CarryScope *> &scopes) {
    std::vector<std::string> renames;
    bool partitioned = false;
    for (const CarryScope *scope : scopes) {
        partitioned = partitioned || scope->partitioned;
        for (const uint32_t heap : with_its_partitions(*scope))
            for (const auto *side : {&scope->mapping.new_columns, &scope->mapping.old_columns})
                for (const auto &column : *side)
                    renames.push_back(fmt::format("({}::oid, {}, {})", heap,
                                                  Literal(column.current_name(!scope->soak_names)),
                                                  Literal(column.current_name(scope->soak_names))));
    }
    rename_index_columns(renames, false);
    // A partitioned one takes its partitions' along, so those come after it.
    if (partitioned) rename_index_columns(renames, true);
}

void refuse_replaced(const CarryScope &scope, uint32_t relation, const std::string &index) {
    raise(sqlstate::unsupported, {},
          "{} cannot be reverted: index {} of {} is another one than at cutover; drop it, SELECT "
          "zdm.resume({}), and create it again after the revert",
          described(scope.migration), Identifier(index),
          quoted_relation(relation).value_or(scope.table), Literal(scope.migration.name));
}

bool has_left_over(const CarryScope &scope, uint32_t relation, const std::string &index) {
    return find_index(relation, old_object_name(scope.migration.id, index)).has_value();
}

Carried recorded_or_new(const CarryScope &scope, const Carried *recorded, bool is_same,
                        Carried present) {
    if (is_same) return *recorded;
    const uint32_t relation = relation_of(scope, present);
    if (has_left_over(scope, relation, present.object))
        refuse_replaced(scope, relation, present.object);
    return present;
}

Index index_there(const CarryScope &scope, uint32_t relation, const std::string &name) {
    auto found = find_index(relation, name);
    if (!found)
        raise(sqlstate::undefined_object, {}, "{}: there is no index {} any more",
              described(scope.migration), Identifier(name));
    return std::move(*found);
}

void detach_parts(uint32_t index) {
    const auto parts =
        catalog("SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::oid ORDER BY 1", {index})
            .oids();
    for (const uint32_t part : parts) check(zdm_index_detach(part));
}

void attach_parts(const CarryScope &scope, const Carried &parent,
                  const std::vector<std::string> &carriers) {
    const Index whole = index_there(scope, parent.related, parent.object);
    for (const auto &carrier : carriers)
        for (const auto &part : parts_of(scope.migration, carrier, parent))
            query(fmt::format("ALTER INDEX {} ATTACH PARTITION {}.{}", whole.quoted,
                              scope_of(scope, part).schema, Identifier(part.object)));
    catalog(R"(UPDATE pg_catalog.pg_constraint k SET connoinherit = false
                 FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_index i ON i.indexrelid = h.inhrelid
                WHERE h.inhparent = $1::oid AND k.conrelid = i.indrelid AND k.conindid = i.indexrelid
                  AND k.conparentid <> 0 AND k.connoinherit)",
            {whole.oid});
}

void rename_index(const CarryScope &scope, const std::string &from, const std::string &to) {
    query(fmt::format("ALTER INDEX {}.{} RENAME TO {}", scope.schema, Identifier(from),
                      Identifier(to)));
}

}  // namespace zdm
