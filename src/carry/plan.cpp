#include "carry/plan.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

std::string cutover_sql(const CarryScope &scope) {
    std::vector<std::string> renames;
    for (const auto *side : {&scope.mapping.old_columns, &scope.mapping.new_columns})
        for (const auto &column : *side)
            if (column.name != column.soak_name)
                renames.push_back(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", scope.table,
                                              Identifier(column.name),
                                              Identifier(column.soak_name)));
    return fmt::format("{}", fmt::join(renames, "; "));
}

std::string contract_sql(const CarryScope &scope) {
    std::vector<std::string> drops;
    for (const auto &column : scope.mapping.old_columns)
        drops.push_back(fmt::format("DROP COLUMN {}", Identifier(column.soak_name)));
    return fmt::format("ALTER TABLE {} {}", scope.table, fmt::join(drops, ", "));
}

void append(std::vector<Step> &steps, std::vector<Step> more) {
    for (auto &step : more) steps.push_back(std::move(step));
}

}  // namespace

std::vector<Step> steps_after_survey(const CarryScope &scope, const std::vector<Carried> &carried) {
    std::vector<Step> steps;
    for (const auto &one : carried)
        append(steps, Carrier::find_carrier(one.carrier).prepare(scope, one));
    steps.push_back({0, Phase::build, "analyze", "", "Gather statistics for the planner",
                     fmt::format("ANALYZE {}", scope.table), "SHARE UPDATE EXCLUSIVE"});
    steps.push_back(
        {0, Phase::verify, "verify", "", "Compare old and new side of every row", "", ""});
    steps.push_back({0, Phase::soak, "swap", "",
                     "Let the new columns take over names, defaults, constraints and indexes",
                     cutover_sql(scope), "ACCESS EXCLUSIVE"});
    steps.push_back(
        {0, Phase::soak, "reinstate", "",
         "Nothing on the way to soak; before revert: make sure that the old columns hold "
         "everything written since",
         "", ""});
    for (const auto &one : carried)
        append(steps, Carrier::find_carrier(one.carrier).clean_up(scope, one));
    steps.push_back({0, Phase::done, "contract", "", "Drop the sync trigger and the old columns",
                     contract_sql(scope), "ACCESS EXCLUSIVE"});
    return steps;
}

std::vector<Step> withdraw_steps(const CarryScope &scope, const std::vector<Carried> &before,
                                 const std::vector<Carried> &now) {
    std::vector<Step> steps;
    for (const auto &one : before) {
        if (one.shadow.empty() || std::find(now.begin(), now.end(), one) != now.end()) continue;
        const bool is_index = one.shadow_definition.rfind("CREATE ", 0) == 0;
        steps.push_back({0, Phase::build, is_index ? "drop_index" : "drop_constraint", one.shadow,
                         fmt::format("Take down the counterpart of {}, which has changed",
                                     Identifier(one.object)),
                         is_index ? fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}.{}",
                                                scope.schema, Identifier(one.shadow))
                                  : fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                                                scope.table, Identifier(one.shadow)),
                         is_index ? "SHARE UPDATE EXCLUSIVE" : "ACCESS EXCLUSIVE"});
    }
    return steps;
}

}  // namespace zdm
