#include "state/carried.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

#define ZDM_CARRIED_SELECT                                                      \
    "SELECT carrier, object, shadow, definition, shadow_definition, keep_old, " \
    "       related, columns, parent, timing "                                  \
    "  FROM zdm.carried WHERE migration = $1::bigint AND relation = $2::oid"

std::vector<Carried> from_rows(const Rows &rows) {
    std::vector<Carried> carried;
    for (size_t row = 0; row < rows.size(); ++row)
        carried.push_back({rows.text(row, 0), rows.text(row, 1), rows.text(row, 2),
                           rows.text(row, 3), rows.text(row, 4), rows.boolean(row, 5),
                           rows.oid(row, 6), rows.text(row, 7), rows.text(row, 8),
                           rows.text(row, 9)});
    return carried;
}

}  // namespace

std::vector<Carried> load_carried(const Migration &migration) {
    return from_rows(
        catalog(ZDM_CARRIED_SELECT " ORDER BY ordinal", {migration.id, migration.relation}));
}

std::vector<Carried> parts_of(const Migration &migration, const std::string &carrier,
                              const Carried &parent) {
    return from_rows(catalog(ZDM_CARRIED_SELECT
                             " AND carrier = $3 AND parent = $4 ORDER BY ordinal",
                             {migration.id, migration.relation, carrier,
                              fmt::format("{}.{}", parent.related, parent.object)}));
}

std::vector<std::string> carried_objects(const Migration &migration, const std::string &carrier) {
    const Rows rows = catalog(
        "SELECT object FROM zdm.carried WHERE migration = $1::bigint AND carrier = $2 ORDER BY 1",
        {migration.id, carrier});
    std::vector<std::string> objects;
    for (size_t row = 0; row < rows.size(); ++row) objects.push_back(rows.text(row, 0));
    return objects;
}

void set_related(const Migration &migration, const Carried &carried, uint32_t related) {
    catalog(
        R"(UPDATE zdm.carried SET related = $5::oid
            WHERE migration = $1::bigint AND relation = $2::oid AND carrier = $3 AND object = $4)",
        {migration.id, migration.relation, carried.carrier, carried.object, related});
}

void replace_carried(const Migration &migration, const std::vector<Carried> &carried) {
    catalog("DELETE FROM zdm.carried WHERE migration = $1::bigint AND relation = $2::oid",
            {migration.id, migration.relation});
    int ordinal = 0;
    for (const auto &one : carried)
        catalog(
            R"(INSERT INTO zdm.carried (migration, relation, ordinal, carrier, object, shadow,
                                        definition, shadow_definition, keep_old, related, columns, parent, timing)
               VALUES ($1::bigint, $2::oid, $3::integer, $4, $5, $6, $7, $8, $9::boolean, $10::oid, $11, $12, $13))",
            {migration.id, migration.relation, ++ordinal, one.carrier, one.object, one.shadow,
             one.definition, one.shadow_definition, one.keep_old, one.related, one.columns,
             one.parent, one.timing});
}

std::optional<LaterCutover> cut_over_later(const Migration &migration) {
    const Rows rows = catalog(
        R"(SELECT m.name, c.object, m.target = 'ready'
             FROM zdm.carried own JOIN zdm.migration o ON o.id = own.migration
             JOIN zdm.carried c ON (c.relation, c.carrier, c.object, c.related) = (own.relation, own.carrier, own.object, own.related)
             JOIN zdm.migration m ON m.id = c.migration
            WHERE own.migration = $1::bigint AND m.id <> $1::bigint AND m.phase = 'soak'
              -- What has no counterpart is as it is, but for texts whose columns have another name since.
              AND (c.shadow <> '' OR c.carrier = 'generated'
                   OR ('rename_column' IN (o.kind, m.kind) AND c.carrier IN ('trigger', 'policy', 'publication')))
              AND m.soak_since > o.soak_since
            ORDER BY m.soak_since DESC LIMIT 1)",
        {migration.id});
    if (rows.empty()) return std::nullopt;
    return LaterCutover{rows.text(0, 0), rows.text(0, 1), rows.boolean(0, 2)};
}

}  // namespace zdm
