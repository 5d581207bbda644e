#include "state/pacing.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

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

}  // namespace zdm
