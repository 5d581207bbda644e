// rename_column: both names are columns, kept equal, from expand until contract: applications of
// before and after the deploy work side by side, whatever they read or write.
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// With the column's own collation, where it has one.
std::string full_type(const Column &column) {
    const Rows rows = query(
        R"(SELECT format(' COLLATE %I.%I', n.nspname, c.collname)
             FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
            WHERE c.oid = $1::oid AND c.oid <> (SELECT typcollation FROM pg_type WHERE oid = $2::oid))",
        {column.collation, column.type});
    return column.type_name + (rows.empty() ? "" : rows.text(0, 0));
}

}  // namespace

Draft draft_rename_column(const Table &table, const std::string &column_name,
                          const std::string &new_name) {
    Draft draft;
    draft.kind = "rename_column";
    draft.object = column_name;
    draft.definition =
        fmt::format("rename_column {} to {}", Identifier(column_name), Identifier(new_name));
    draft.columns = {column_name};
    draft.already_so = !find_column(table, column_name) && find_column(table, new_name);
    draft.complete = [=](Draft &self) {
        const Column column = column_for_migration(table, column_name);
        check_new_column_name(table, new_name);
        const std::string type = new_column_type(table, full_type(column), true).name;
        self.mapping.old_columns = {{column.name, column.name, type, "$2", true}};
        self.mapping.new_columns = {{new_name, new_name, type, "$1", true}};
        self.direct = {fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", table.quoted,
                                   Identifier(column.name), Identifier(new_name))};
    };
    return draft;
}

}  // namespace zdm
