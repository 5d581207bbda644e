#include "state/step.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::vector<Step> load_steps(int64_t migration) {
    const Rows rows = catalog(
        R"(SELECT ordinal, phase, kind, object, description, sql, lock_mode, state, attempts, relation, related
             FROM zdm.step WHERE migration = $1::bigint ORDER BY ordinal)",
        {migration});
    std::vector<Step> steps;
    for (size_t row = 0; row < rows.size(); ++row)
        steps.push_back({static_cast<int>(rows.integer(row, 0)), phase_named(rows.text(row, 1)),
                         rows.text(row, 2), rows.text(row, 3), rows.text(row, 4), rows.text(row, 5),
                         rows.text(row, 6), rows.text(row, 7),
                         static_cast<int>(rows.integer(row, 8)), rows.oid(row, 9),
                         rows.oid(row, 10)});
    return steps;
}

void insert_steps(const Migration &migration, const std::vector<Step> &steps) {
    for (const auto &step : steps)
        catalog(
            R"(INSERT INTO zdm.step (migration, name, ordinal, phase, kind, object, description, sql, lock_mode, relation, related)
               VALUES ($1::bigint, $2,
                       (SELECT coalesce(max(ordinal), 0) + 1 FROM zdm.step WHERE migration = $1::bigint),
                       $3, $4, $5, $6, $7, nullif($8, ''), $9::oid, $10::oid))",
            {migration.id, migration.name, to_string(step.phase), step.kind, step.object,
             step.description, step.sql, step.lock_mode, step.relation, step.related});
}

void delete_steps_after(const Migration &migration, int ordinal) {
    catalog("DELETE FROM zdm.step WHERE migration = $1::bigint AND ordinal > $2::integer",
            {migration.id, ordinal});
}

void set_step_state(const Migration &migration, const Step &step, const std::string &state,
                    const std::string &error) {
    catalog(R"(UPDATE zdm.step
                  SET state = $3, error = nullif($4, ''),
                      attempts = attempts + ($3 = 'running')::integer,
                      started_at = CASE WHEN $3 = 'running' THEN coalesce(started_at, clock_timestamp())
                                        WHEN $3 IN ('pending', 'undone') THEN NULL ELSE started_at END,
                      finished_at = CASE WHEN $3 = 'done' THEN clock_timestamp() END
                WHERE migration = $1::bigint AND ordinal = $2::integer)",
            {migration.id, step.ordinal, state, error});
}

void count_attempt(const Migration &migration, const Step &step) {
    catalog(R"(UPDATE zdm.step SET attempts = attempts + 1
                WHERE migration = $1::bigint AND ordinal = $2::integer)",
            {migration.id, step.ordinal});
}

void reset_steps_from(const Migration &migration, int ordinal) {
    catalog(
        R"(UPDATE zdm.step SET state = 'pending', error = NULL, started_at = NULL, finished_at = NULL
                WHERE migration = $1::bigint AND ordinal >= $2::integer)",
        {migration.id, ordinal});
}

void record_lock_times(const Migration &migration, int ordinal, double wait_ms, double hold_ms) {
    catalog(R"(UPDATE zdm.step
                  SET longest_wait_ms = greatest(longest_wait_ms, $3::float8),
                      longest_hold_ms = greatest(longest_hold_ms, $4::float8)
                WHERE migration = $1::bigint AND ordinal = $2::integer)",
            {migration.id, ordinal, wait_ms, hold_ms});
}

}  // namespace zdm
