#include "carry/column_pairs.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::string column_pairs(const std::vector<const CarryScope *> &scopes, Side side) {
    const Side other = side == Side::new_side ? Side::old_side : Side::new_side;
    std::vector<std::string> pairs;
    for (const auto *scope : scopes) {
        if (!scope->is_paired()) continue;
        for (size_t pair = 0; pair < scope->mapping.old_columns.size(); ++pair)
            pairs.push_back(
                fmt::format("({}::oid, {}, {}, {})", scope->migration.relation,
                            Literal(column_at(*scope, other, pair).current_name(scope->soak_names)),
                            Literal(column_at(*scope, side, pair).current_name(scope->soak_names)),
                            !scope->keeps_names()));
    }
    if (pairs.empty()) return "";
    return fmt::format(
        R"((VALUES {}) AS pair(root, source_name, target_name, both_names)
            CROSS JOIN LATERAL (SELECT * FROM pg_attribute
                                 WHERE attrelid = ANY ()" ZDM_TREE_OF(
            "root") R"() AND attname = source_name OFFSET 0) source
            CROSS JOIN LATERAL (SELECT * FROM pg_attribute
                                 WHERE attrelid = source.attrelid AND attname = target_name OFFSET 0) target)",
        fmt::join(pairs, ", "));
}

}  // namespace zdm
