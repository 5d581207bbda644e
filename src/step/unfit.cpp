#include "step/unfit.hpp"

#include "carry/index_definition.hpp"
#include "state/index.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

std::string condition(const CarryScope &scope) {
    std::vector<std::string> old_null, new_given;
    for (const auto &column : scope.mapping.old_columns)
        old_null.push_back(fmt::format("{} IS NULL", Identifier(column.soak_name)));
    for (const auto &column : scope.mapping.new_columns)
        new_given.push_back(fmt::format("{} IS NOT NULL", Identifier(column.soak_name)));
    return fmt::format("{} AND ({})", fmt::join(old_null, " AND "), fmt::join(new_given, " OR "));
}

// Of all that meet the condition (which an index may have for a predicate), those that are lost.
std::string lost_condition(const CarryScope &scope) {
    std::vector<std::string> names, different;
    for (const auto *side : {&scope.mapping.old_columns, &scope.mapping.new_columns})
        for (const auto &column : *side) names.push_back(quote(Identifier(column.soak_name)));
    for (const auto &column : scope.mapping.new_columns)
        // As text, for not every type has an equality operator.
        different.push_back(fmt::format("{}::text IS DISTINCT FROM (({})::{})::text",
                                        Identifier(column.soak_name),
                                        with_parameters(column.expression, names), column.type));
    return fmt::format("{} AND ({})", condition(scope), fmt::join(different, " OR "));
}

std::string index_name(const CarryScope &scope, uint32_t heap) {
    return new_object_name(scope.migration.id, fmt::format("unfit_{}", heap));
}

// The table itself, or its leaves.
std::vector<uint32_t> heaps_of(const CarryScope &scope) {
    return query(R"(SELECT oid FROM pg_class WHERE oid = ANY ()" ZDM_TREE_OF(
                     "$1::oid") R"() AND relkind = 'r' ORDER BY oid)",
                 {scope.migration.relation})
        .oids();
}

}  // namespace

int64_t count_unfit(const CarryScope &scope) {
    if (scope.mapping.new_columns.empty() || scope.mapping.reverse_is_total()) return 0;
    return evaluate(
               fmt::format("SELECT count(*) FROM {} WHERE {}", scope.table, lost_condition(scope)),
               scope.migration.evaluation)
        .integer(0, 0);
}

void raise_unfit(const Migration &migration, int64_t count) {
    if (count == 0) return;
    raise(sqlstate::discrepancies, {},
          "{} cannot be reverted: {} row{} written since cutover would lose {} value, because it "
          "does "
          "not fit the old column; change or delete {} and SELECT zdm.revert({}) again, or SELECT "
          "zdm.contract({})",
          described(migration), count, count == 1 ? "" : "s", count == 1 ? "its" : "their",
          count == 1 ? "it" : "them", Literal(migration.name), Literal(migration.name));
}

std::vector<Step> unfit_index_steps(const CarryScope &scope) {
    std::vector<Step> steps;
    if (scope.mapping.reverse_is_total()) return steps;
    for (const uint32_t heap : heaps_of(scope)) {
        steps.push_back(create_index_step(
            Phase::soak, index_name(scope, heap),
            fmt::format(
                "CREATE INDEX CONCURRENTLY {} ON {} (({})) WHERE {}",
                Identifier(index_name(scope, heap)), quoted_relation(heap).value(),
                fmt::format("{} IS NULL", Identifier(scope.mapping.old_columns[0].soak_name)),
                condition(scope))));
        steps.back().relation = heap;
    }
    return steps;
}

void drop_unfit_indexes(const CarryScope &scope) {
    for (const uint32_t heap : heaps_of(scope))
        if (const auto index = find_index(heap, index_name(scope, heap)))
            query(fmt::format("DROP INDEX {}", index->quoted));
}

}  // namespace zdm
