#include "state/carried.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::vector<Carried> load_carried(int64_t migration) {
    const Rows rows =
        catalog(R"(SELECT carrier, object, shadow, definition, shadow_definition, keep_old
                                   FROM zdm.carried WHERE migration = $1::bigint ORDER BY ordinal)",
                {migration});
    std::vector<Carried> carried;
    for (size_t row = 0; row < rows.size(); ++row)
        carried.push_back({rows.text(row, 0), rows.text(row, 1), rows.text(row, 2),
                           rows.text(row, 3), rows.text(row, 4), rows.boolean(row, 5)});
    return carried;
}

void replace_carried(int64_t migration, const std::vector<Carried> &carried) {
    catalog("DELETE FROM zdm.carried WHERE migration = $1::bigint", {migration});
    int ordinal = 0;
    for (const auto &one : carried)
        catalog(R"(INSERT INTO zdm.carried
                       (migration, ordinal, carrier, object, shadow, definition, shadow_definition, keep_old)
                   VALUES ($1::bigint, $2::integer, $3, $4, $5, $6, $7, $8::boolean))",
                {migration, ++ordinal, one.carrier, one.object, one.shadow, one.definition,
                 one.shadow_definition, one.keep_old});
}

}  // namespace zdm
