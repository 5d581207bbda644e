#include "state/discrepancy.hpp"

#include <algorithm>

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

const char *class_name(ZdmDiscrepancyClass which) {
    switch (which) {
        case ZDM_MISSING:
            return "missing";
        case ZDM_STALE:
            return "stale";
        case ZDM_SPURIOUS:
            return "spurious";
        case ZDM_ERROR:
            return "error";
        case ZDM_REVERSE:
            return "reverse";
    }
    return "error";
}

Text nullable(const char *text) { return text ? Text(text) : std::nullopt; }

}  // namespace

void insert_discrepancies(const Migration &migration, uint32_t relation,
                          const ZdmVerifyReport &report) {
    for (int i = 0; i < report.stored; ++i) {
        const ZdmDiscrepancy &found = report.found[i];
        catalog(R"(INSERT INTO zdm.discrepancy
                       (migration, name, relation, key, class, old_value, expected_value, actual_value)
                   VALUES ($1::bigint, $2, $3::oid, $4::jsonb, $5, $6, $7, $8))",
                {migration.id, migration.name, relation, found.key, class_name(found.class_),
                 nullable(found.old_value), nullable(found.expected_value),
                 nullable(found.actual_value)});
    }
}

void insert_listed_discrepancies(const Migration &migration, uint32_t relation,
                                 const std::string &found, int limit) {
    catalog(R"(INSERT INTO zdm.discrepancy
                   (migration, name, relation, key, class, expected_value, actual_value)
               SELECT $1::bigint, $2, $3::oid, f.key, f.class, f.expected_value, f.actual_value
                 FROM jsonb_to_recordset($4::jsonb) AS f(key jsonb, class text, expected_value text, actual_value text)
                LIMIT $5::integer)",
            {migration.id, migration.name, relation, found, std::max(limit, 1)});
}

void insert_violation(const Migration &migration, uint32_t relation, const std::string &key,
                      const std::string &expected, const Text &actual) {
    catalog(R"(INSERT INTO zdm.discrepancy
                   (migration, name, relation, key, class, expected_value, actual_value)
               VALUES ($1::bigint, $2, $3::oid, $4::jsonb, 'error', $5, $6))",
            {migration.id, migration.name, relation, key, expected, actual});
}

void resolve_discrepancies(const Migration &migration) {
    // A caller's open repair holds some of them; the worker does not wait for it.
    catalog(R"(UPDATE zdm.discrepancy SET resolved_at = clock_timestamp()
                WHERE ctid = ANY (ARRAY(SELECT ctid FROM zdm.discrepancy
                                         WHERE migration = $1::bigint AND resolved_at IS NULL
                                           FOR UPDATE SKIP LOCKED)))",
            {migration.id});
}

void resolve_discrepancy(const std::string &row_id) {
    catalog("UPDATE zdm.discrepancy SET resolved_at = clock_timestamp() WHERE ctid = $1::tid",
            {row_id});
}

std::vector<OpenDiscrepancy> open_discrepancies(const Migration &migration) {
    const Rows rows = catalog(
        R"(SELECT ctid, relation, key FROM zdm.discrepancy
            WHERE migration = $1::bigint AND resolved_at IS NULL)",
        {migration.id});
    std::vector<OpenDiscrepancy> found;
    for (size_t row = 0; row < rows.size(); ++row)
        found.push_back({rows.text(row, 0), rows.oid(row, 1), rows.text(row, 2)});
    return found;
}

}  // namespace zdm
