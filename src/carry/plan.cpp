#include "carry/plan.hpp"

#include <algorithm>
#include <iterator>

#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

void append_renames(std::vector<std::string> &statements, const CarryScope &scope) {
    for (const auto *side : {&scope.mapping.old_columns, &scope.mapping.new_columns})
        for (const auto &column : *side)
            if (column.name != column.soak_name)
                statements.push_back(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}",
                                                 scope.table, Identifier(column.name),
                                                 Identifier(column.soak_name)));
}

void append_drops(std::vector<std::string> &statements, const CarryScope &scope) {
    std::vector<std::string> drops;
    for (const auto &column : scope.mapping.old_columns)
        drops.push_back(fmt::format("DROP COLUMN {}", Identifier(column.soak_name)));
    statements.push_back(fmt::format("ALTER TABLE {} {}", scope.table, fmt::join(drops, ", ")));
}

// A carrier's steps work on its table, unless it says another.
void append(std::vector<Step> &steps, const CarryScope &scope, std::vector<Step> more) {
    for (auto &step : more) {
        if (step.relation == 0) step.relation = scope.migration.relation;
        steps.push_back(std::move(step));
    }
}

// What another migration had kept or built, and took down when it ended.
bool went_with_its_migration(const Carried &carried) {
    const auto other = object_of_migration(carried.object);
    if (!other) return false;
    const auto migration = load_migration(other->migration);
    return !migration || !migration->unfinished();
}

}  // namespace

std::vector<Carried> still_carried(const CarryScope &scope) {
    auto carried = load_carried(scope.migration);
    if (!scope.partitioned) return carried;
    const auto tree =
        query("SELECT relid::oid FROM pg_partition_tree($1::oid::regclass) ORDER BY 1",
              {scope.migration.relation})
            .oids();
    const auto is_gone = [&](const Carried &one) {
        const uint32_t partition = Carrier::find_carrier(one.carrier).partition_with(one);
        return partition != 0 && !std::binary_search(tree.begin(), tree.end(), partition);
    };
    carried.erase(std::remove_if(carried.begin(), carried.end(), is_gone), carried.end());
    return carried;
}

bool is_no_partition_any_more(const Migration &migration, uint32_t relation) {
    if (relation == 0) return false;
    const uint32_t root =
        query("SELECT coalesce(pg_partition_root($1::oid), $1::oid)::oid", {relation}).oid(0, 0);
    bool was_one = false;
    for (const auto &seen : on_each_table(migration)) {
        if (seen.relation == root) return false;
        for (const auto &one : load_carried(seen))
            was_one =
                was_one || Carrier::find_carrier(one.carrier).partition_about(one) == relation;
    }
    return was_one;
}

std::vector<CarriedTable> carried_tables(const Migration &migration) {
    std::vector<CarriedTable> tables;
    for (auto &scope : scopes_of(migration)) {
        auto carried = still_carried(scope);
        carried.erase(std::remove_if(carried.begin(), carried.end(), went_with_its_migration),
                      carried.end());
        tables.push_back({std::move(scope), std::move(carried)});
    }
    return tables;
}

std::vector<CarriedTable> changed_in_soak(const Migration &migration) {
    std::vector<CarriedTable> changed;
    for (auto &scope : scopes_of(migration)) {
        const auto recorded = load_carried(scope.migration), still = still_carried(scope);
        std::vector<Carried> present;
        for (const Carrier *carrier : Carrier::all()) {
            std::vector<Carried> own;
            std::copy_if(still.begin(), still.end(), std::back_inserter(own),
                         [&](const Carried &one) { return one.carrier == carrier->name(); });
            for (auto &one : carrier->find_in_soak(scope, std::move(own)))
                present.push_back(std::move(one));
        }
        if (!std::is_permutation(present.begin(), present.end(), recorded.begin(), recorded.end()))
            changed.push_back({std::move(scope), std::move(present)});
    }
    return changed;
}

void record_carried(const std::vector<CarriedTable> &tables) {
    for (const auto &table : tables) replace_carried(table.scope.migration, table.carried);
}

std::vector<CarriedOn> in_rank_order(const std::vector<CarriedTable> &tables) {
    std::vector<CarriedOn> all;
    for (const auto &table : tables)
        for (const auto &one : table.carried)
            all.push_back({&table.scope, &one, &Carrier::find_carrier(one.carrier)});
    std::stable_sort(all.begin(), all.end(), [](const CarriedOn &a, const CarriedOn &b) {
        return a.carrier->rank() < b.carrier->rank();
    });
    return all;
}

std::vector<Step> steps_after_survey(const std::vector<CarriedTable> &tables) {
    const auto all = in_rank_order(tables);
    std::vector<Step> steps;
    for (const auto &one : all)
        append(steps, *one.scope, one.carrier->prepare(*one.scope, *one.carried));
    std::vector<std::string> renames, drops;
    for (const auto &table : tables) {
        append(steps, table.scope,
               {{0, Phase::build, "analyze", "", "Gather statistics for the planner",
                 fmt::format("ANALYZE {}", table.scope.table), "SHARE UPDATE EXCLUSIVE"}});
        append_renames(renames, table.scope);
        append_drops(drops, table.scope);
    }
    for (const auto &table : tables)
        append(steps, table.scope,
               {{0, Phase::verify, "verify", "",
                 fmt::format("Compare old and new side of every row of {}", table.scope.table), "",
                 ""}});
    for (const auto &one : all)
        append(steps, *one.scope, one.carrier->freshen(*one.scope, *one.carried));
    steps.push_back({0, Phase::soak, "swap", "",
                     "Let the new columns take over names, defaults, constraints and indexes",
                     fmt::format("{}", fmt::join(renames, "; ")), "ACCESS EXCLUSIVE"});
    steps.push_back(
        {0, Phase::soak, "reinstate", "",
         "Nothing on the way to soak; before revert: make sure that the old columns hold "
         "everything written since",
         "", ""});
    steps.push_back({0, Phase::done, before_contract_step, "",
                     "Make sure that nothing is in the old columns alone", "", ""});
    for (auto one = all.rbegin(); one != all.rend(); ++one)
        append(steps, *one->scope, one->carrier->clean_up(*one->scope, *one->carried));
    steps.push_back({0, Phase::done, contract_step, "", "Drop the sync trigger and the old columns",
                     fmt::format("{}", fmt::join(drops, "; ")), "ACCESS EXCLUSIVE"});
    return steps;
}

std::vector<Step> reinstate_steps(const std::vector<CarriedTable> &tables) {
    std::vector<Step> steps;
    for (const auto &one : in_rank_order(tables))
        append(steps, *one.scope, one.carrier->reinstate(*one.scope, *one.carried));
    return steps;
}

std::vector<Step> withdraw_steps(const std::vector<CarriedTable> &before,
                                 const std::vector<CarriedTable> &now) {
    std::vector<CarriedTable> unwanted = before;
    for (size_t table = 0; table < unwanted.size(); ++table) {
        const auto &wanted = now.at(table).carried;
        auto &carried = unwanted[table].carried;
        carried.erase(std::remove_if(carried.begin(), carried.end(),
                                     [&](const Carried &one) {
                                         return one.shadow.empty() ||
                                                std::find(wanted.begin(), wanted.end(), one) !=
                                                    wanted.end();
                                     }),
                      carried.end());
    }
    const auto all = in_rank_order(unwanted);
    std::vector<Step> steps;
    for (auto one = all.rbegin(); one != all.rend(); ++one)
        append(steps, *one->scope, one->carrier->withdraw(*one->scope, *one->carried));
    return steps;
}

}  // namespace zdm
