// drop_column: ready at once. Cutover hides the column under another name, so that whatever still
// reads it is found out while there is a way back; contract drops it, with its data.
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// What DROP COLUMN without CASCADE would refuse, and what would fail inserts that do not give the
// hidden column.
void check_dependents(const Table &table, const Column &column) {
    const Rows rows = query(
        R"(SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ')
             FROM pg_depend d
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND d.refobjsubid = $2::integer
              AND (d.deptype = 'n'
                   OR (d.classid = 'pg_attrdef'::regclass
                       AND EXISTS (SELECT FROM pg_attrdef f WHERE f.oid = d.objid AND f.adnum <> $2::integer))
                   OR (d.classid = 'pg_constraint'::regclass
                       AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.contype IN ('p', 'x')))
                   OR (d.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass)
                       AND EXISTS (SELECT FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
                                    WHERE (i.indexrelid = d.objid OR k.oid = d.objid)
                                      AND i.indisunique AND (to_jsonb(i) ->> 'indnullsnotdistinct')::boolean))))",
        {table.relation, column.attnum});
    if (rows.null_text(0, 0))
        raise(sqlstate::unsupported, {},
              "zdm: cannot drop column {} of {}: {} depends on it; drop or change that first",
              Identifier(column.name), table.name, rows.text(0, 0));
    if (!query("SELECT FROM pg_partitioned_table WHERE partrelid = $1::oid AND $2::smallint = ANY "
               "(partattrs::int2[])",
               {table.relation, column.attnum})
             .empty())
        raise(sqlstate::unsupported, {},
              "zdm: cannot drop column {} of {}: it is part of the partition key",
              Identifier(column.name), table.name);
}

void complete(Draft &draft, const Table &table, const std::string &name) {
    const auto column = find_column(table, name);
    if (!column)
        raise(sqlstate::undefined_column, {}, "zdm: table {} has no column {}", table.name,
              Identifier(name));
    check_dependents(table, *column);
    const std::string hidden = old_column_name(name);
    check_new_column_name(table, hidden);
    draft.mapping.old_columns = {{name, hidden, column->type_name, "", true}};
    draft.direct = {fmt::format("ALTER TABLE {} DROP COLUMN {}", table.quoted, Identifier(name))};
    draft.plan = [=](const Migration &) {
        return std::vector<Step>{
            {0, Phase::soak, "hide_column", name,
             "Hide the column under another name; inserts without it pass",
             fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", table.quoted, Identifier(name),
                         Identifier(hidden)),
             "ACCESS EXCLUSIVE"},
            {0, Phase::done, "drop_hidden_column", name, "Drop the column and what is in it",
             fmt::format("ALTER TABLE {} DROP COLUMN {}", table.quoted, Identifier(hidden)),
             "ACCESS EXCLUSIVE"}};
    };
}

}  // namespace

Draft draft_drop_column(const Table &table, const std::string &column_name) {
    Draft draft;
    draft.kind = "drop_column";
    draft.object = column_name;
    draft.columns = {column_name};
    draft.definition = fmt::format("drop_column {}", Identifier(column_name));
    draft.already_so = !find_column(table, column_name).has_value();
    draft.complete = [=](Draft &self) { complete(self, table, column_name); };
    return draft;
}

}  // namespace zdm
