#include "kind/mapping_plan.hpp"

#include "carry/plan.hpp"
#include "state/names.hpp"
#include "step/sync_trigger.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

ZdmExpression canonical(const Table &table, const ExpressionRequest &request) {
    ZdmExpression expression{};
    check(zdm_expression_canonical(table.relation, request.text.c_str(),
                                   static_cast<int>(request.columns.size()), request.columns.data(),
                                   request.target.oid, request.target.typmod,
                                   request.target.collation, request.explicit_cast, &expression));
    return expression;
}

ZdmType column_type(const Column &column) {
    return {column.type, column.typmod, column.collation, column.type_name.c_str()};
}

ZdmColumn parameter(const std::string &name, const ZdmType &type) {
    return {name.c_str(), 0, type.oid, type.typmod, type.collation};
}

ZdmType new_column_type(const Table &table, const std::string &text, bool canonical) {
    ZdmType type{};
    check(zdm_type_parse(text.c_str(), canonical, &type));
    const Rows rows = query(
        R"(WITH RECURSIVE d AS (
               SELECT oid, typbasetype, typtype, typnotnull, typdefault FROM pg_type WHERE oid = $1::oid
               UNION ALL
               SELECT t.oid, t.typbasetype, t.typtype, t.typnotnull, t.typdefault
                 FROM d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')
           SELECT bool_or(typtype = 'd' AND (typnotnull OR typdefault IS NOT NULL
                          OR EXISTS (SELECT FROM pg_constraint c WHERE c.contypid = d.oid))) FROM d)",
        {type.oid});
    if (rows.boolean(0, 0))
        raise(sqlstate::unsupported, {},
              "zdm: cannot give a column of {} the type {}: adding a column of a domain with a "
              "default or "
              "constraints rewrites the table under lock; use its base type and a CHECK constraint",
              table.name, type.name);
    return type;
}

namespace {

void check_trigger_order(const Migration &migration) {
    const auto behind = trigger_behind_sync(migration.relation);
    if (behind)
        raise(sqlstate::unsupported, {},
              "zdm: cannot migrate {}: trigger {} would fire after the sync trigger; give it a "
              "name that sorts before ~zdm_sync",
              migration.relation_name, *behind);
}

}  // namespace

void plan_mapping(const Migration &migration) {
    std::vector<CarriedTable> tables;
    for (auto &scope : scopes_of(migration)) {
        check_trigger_order(scope.migration);
        auto carried = find_carried(scope);
        replace_carried(scope.migration, carried);
        tables.push_back({std::move(scope), std::move(carried)});
    }
    std::vector<Step> steps;
    const auto append = [&](const CarryScope &scope, Step step) {
        step.relation = scope.migration.relation;
        steps.push_back(std::move(step));
    };
    for (const auto &[scope, carried] : tables) {
        std::vector<std::string> columns;
        for (const auto &column : scope.mapping.new_columns)
            columns.push_back(
                fmt::format("ADD COLUMN {} {}", Identifier(column.name), column.type));
        append(scope,
               {0, Phase::expand, "expand", "",
                "Add the new columns and the trigger that keeps both sides in sync",
                fmt::format("ALTER TABLE {} {}; CREATE TRIGGER {} ...", scope.table,
                            fmt::join(columns, ", "), Identifier(sync_trigger_name(migration.id))),
                "ACCESS EXCLUSIVE"});
    }
    for (const auto &[scope, carried] : tables)
        append(scope,
               {0, Phase::backfill, "backfill", "",
                fmt::format("Copy the rows of {} that existed before, in place", scope.table), "",
                ""});
    steps.push_back(
        {0, Phase::build, "survey", "", "Look again at what hangs on the old columns", "", ""});
    for (auto &step : steps_after_survey(tables)) steps.push_back(std::move(step));
    insert_steps(migration, steps);
}

}  // namespace zdm
