// add_column: the server's own way where it needs no rewrite. With a value for the rows, a trigger
// fills new ones in which the writer gave none, the backfill fills those of before, NOT NULL is
// proved, and then the trigger gives way to the default. An application that does not know the
// column inserts at every moment.
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"
#include "kind/not_null_proof.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

struct Request {
    std::string column;
    std::string type;  // canonical
    Text value;
    bool not_null = false;
    Text column_default;            // canonical
    bool volatile_default = false;  // evaluated for every row: it would rewrite the table
};

std::string add_sql(const Table &table, const Request &request, bool with_default,
                    bool with_not_null) {
    return fmt::format("ALTER TABLE {} ADD COLUMN {} {}{}{}", table.quoted,
                       Identifier(request.column), request.type,
                       with_default ? " DEFAULT " + *request.column_default : std::string(),
                       with_not_null ? " NOT NULL" : "");
}

std::string default_sql(const Table &table, const Request &request) {
    if (!request.column_default) return "";
    return fmt::format("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}", table.quoted,
                       Identifier(request.column), *request.column_default);
}

// The server's own: nothing is written to any row.
void plan_short(Draft &draft, const Table &table, const Request &request, const ZdmType &type) {
    const bool adds_default = request.column_default && !request.volatile_default;
    if (request.not_null && !adds_default)
        raise(
            sqlstate::invalid_parameter, {},
            "zdm: cannot add column {} to {}: NOT NULL needs value, which the rows of before get, "
            "or a column_default that is the same for every row",
            Identifier(request.column), table.name);
    if (request.not_null)
        check_not_null(table, request.column, "column_default", *request.column_default,
                       *request.column_default, type);
    std::string sql = add_sql(table, request, adds_default, request.not_null);
    draft.direct = {sql};
    if (request.column_default && !adds_default) {
        draft.direct.push_back(default_sql(table, request));
        sql += "; " + draft.direct.back();
    }
    draft.steps = {{0, Phase::done, "add_plain_column", request.column,
                    "Add the column, which writes no row", sql, "ACCESS EXCLUSIVE"}};
}

void plan_filled(Draft &draft, const Table &table, const Request &request, const ZdmType &type) {
    const ZdmExpression value =
        canonical(table, {*request.value, {parameter(request.column, type)}, type, false});
    if (value.text != nullptr && std::string(value.text).find("$1") != std::string::npos)
        raise(sqlstate::undefined_column, {},
              "zdm: value of column {} of {} reads the column that it is to fill",
              Identifier(request.column), table.name);
    if (request.not_null)
        check_not_null(table, request.column, "value", *request.value, value.text, type);
    draft.mapping.new_columns = {
        {request.column, request.column, type.name, value.text, value.total, value.immutable}};
    draft.direct = {
        add_sql(table, request, false, false),
        fmt::format("UPDATE {} SET {} = {}", table.quoted, Identifier(request.column), value.text)};
    if (request.column_default) draft.direct.push_back(default_sql(table, request));
    if (request.not_null) {
        draft.direct.push_back(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL",
                                           table.quoted, Identifier(request.column)));
        if (!request.column_default)
            draft.warnings.push_back(fmt::format(
                "zdm: column {} of {} will be NOT NULL without a default: from done on an INSERT "
                "has to give it; pass column_default if older applications still write",
                Identifier(request.column), table.name));
    }
    draft.plan = [=](const Migration &migration) {
        std::vector<Step> steps{
            {0, Phase::expand, "fill_trigger", request.column,
             "Add the column, and the trigger that fills it where a writer gives no value",
             add_sql(table, request, false, false), "ACCESS EXCLUSIVE"},
            {0, Phase::backfill, "backfill", "", "Fill the rows that existed before, in place", "",
             ""}};
        std::vector<Step> proof;
        if (request.not_null) proof = not_null_steps(table, migration, {request.column});
        for (auto &step : proof)
            if (step.kind != "require_not_null") steps.push_back(step);
        steps.push_back({0, Phase::verify, "verify", "", "Look for rows without a value", "", ""});
        for (auto &step : proof)
            if (step.kind == "require_not_null") {
                step.phase = Phase::verify;
                steps.push_back(step);
            }
        steps.push_back({0, Phase::done, "settle_column", request.column,
                         "Drop the trigger; the default takes its place",
                         default_sql(table, request), "ACCESS EXCLUSIVE"});
        return steps;
    };
}

}  // namespace

Draft draft_add_column(const Table &table, const std::string &column_name,
                       const std::string &column_type, const Text &value, bool not_null,
                       const Text &column_default) {
    ZdmType type{};
    check(zdm_type_parse(column_type.c_str(), false, &type));
    Draft draft;
    draft.kind = "add_column";
    draft.object = column_name;
    draft.target = Phase::done;
    draft.columns = {column_name};
    draft.definition = fmt::format("add_column {} {} value {} not null {} default {}",
                                   Identifier(column_name), type.name, value.value_or("(none)"),
                                   not_null, column_default.value_or("(none)"));
    const auto now = find_column(table, column_name);
    draft.already_so = now && now->type == type.oid && now->typmod == type.typmod;
    draft.complete = [=](Draft &self) {
        const ZdmType new_type = new_column_type(table, column_type);
        check_new_column_name(table, column_name);
        Request request{column_name, new_type.name, value, not_null, std::nullopt, false};
        if (column_default) {
            const char *canonical = nullptr;
            check(zdm_default_parse(column_default->c_str(), &new_type, &canonical,
                                    &request.volatile_default));
            request.column_default = canonical;
        }
        if (value)
            plan_filled(self, table, request, new_type);
        else
            plan_short(self, table, request, new_type);
    };
    return draft;
}

}  // namespace zdm
