// set_not_null: proved by a CHECK, so that no row is read under lock. With a value, NULLs become
// it: in new writes by a trigger, in the rows of before by the backfill. Without, rows with NULL
// are reported, and nothing of the proof stays on the table.
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"
#include "kind/not_null_proof.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

bool is_not_null(const Table &table, const std::string &column) {
    return !query(
                "SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND attnotnull",
                {table.relation, column})
                .empty();
}

void complete(Draft &draft, const Table &table, const std::string &name, const Text &value) {
    const auto column = find_column(table, name);
    if (!column)
        raise(sqlstate::undefined_column, {}, "zdm: table {} has no column {}", table.name,
              Identifier(name));
    if (is_not_null(table, name)) return;  // nothing to do, and the caller's deploy goes on
    draft.direct = {
        fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL", table.quoted, Identifier(name))};
    if (!value) {
        draft.plan = [=](const Migration &migration) {
            return not_null_steps(table, migration, {name});
        };
        return;
    }
    if (!query(
             "SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND attgenerated "
             "<> ''",
             {table.relation, name})
             .empty())
        raise(sqlstate::unsupported, {},
              "zdm: cannot fill column {} of {}: it is a generated column; change its expression",
              Identifier(name), table.name);
    const ZdmExpression filled = canonical(table, {*value, {}, column_type(*column), false});
    check_not_null(table, name, "value", *value, filled.text, column_type(*column));
    draft.mapping.new_columns = {
        {name, name, column->type_name, filled.text, filled.total, filled.immutable}};
    draft.direct.insert(draft.direct.begin(),
                        fmt::format("UPDATE {} SET {} = {} WHERE {} IS NULL", table.quoted,
                                    Identifier(name), filled.text, Identifier(name)));
    draft.plan = [=](const Migration &migration) {
        std::vector<Step> steps{
            {0, Phase::expand, "fill_trigger", "",
             "Create the trigger that fills the column where a writer gives NULL", "",
             "ACCESS EXCLUSIVE"},
            {0, Phase::backfill, "backfill", "", "Fill the rows that have NULL, in place", "", ""}};
        for (auto &step : not_null_steps(table, migration, {name})) steps.push_back(step);
        steps.push_back(
            {0, Phase::done, "settle_column", name, "Drop the trigger", "", "ACCESS EXCLUSIVE"});
        return steps;
    };
}

}  // namespace

Draft draft_set_not_null(const Table &table, const std::string &column_name, const Text &value) {
    Draft draft;
    draft.kind = "set_not_null";
    draft.object = column_name;
    draft.target = Phase::done;
    draft.columns = {column_name};
    draft.definition =
        fmt::format("set_not_null {} value {}", Identifier(column_name), value.value_or("(none)"));
    draft.already_so = is_not_null(table, column_name);
    draft.complete = [=](Draft &self) { complete(self, table, column_name, value); };
    return draft;
}

}  // namespace zdm
