#include "state/pacing.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::optional<Pacing> load_pacing(const Migration &migration) {
    const Rows rows = catalog(
        R"(SELECT duty, level, signal, throttled_by, unreadable FROM zdm.pacing
            WHERE migration = $1::bigint)",
        {migration.id});
    if (rows.empty()) return std::nullopt;
    return Pacing{rows.number(0, 0), rows.text(0, 1), rows.text(0, 2), rows.text(0, 3),
                  rows.text(0, 4)};
}

void save_pacing(const Migration &migration, const Pacing &pacing) {
    catalog(R"(INSERT INTO zdm.pacing (migration, duty, level, signal, throttled_by, unreadable)
               VALUES ($1::bigint, $2::float8, $3, $4, $5, $6)
               ON CONFLICT (migration) DO UPDATE
                  SET duty = excluded.duty, level = excluded.level, signal = excluded.signal,
                      throttled_by = excluded.throttled_by, unreadable = excluded.unreadable,
                      updated_at = clock_timestamp())",
            {migration.id, pacing.duty, pacing.level, pacing.signal, pacing.throttled_by,
             pacing.unreadable});
}

void forget_pacing(const Migration &migration) {
    catalog("DELETE FROM zdm.pacing WHERE migration = $1::bigint", {migration.id});
}

}  // namespace zdm
