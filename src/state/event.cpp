#include "state/event.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void record_event(const Migration &migration, const std::string &event, const std::string &phase,
                  const std::vector<std::pair<std::string, std::string>> &detail) {
    // Keys and values go as two lists, so that the server makes the JSON. A payload is at most
    // 8,000 bytes: long values (an error's text) are cut there, not in the table.
    std::vector<std::string> keys, values;
    for (const auto &[key, value] : detail) {
        keys.push_back(key);
        values.push_back(value);
    }
    catalog(R"(WITH detail AS (
                   SELECT coalesce(jsonb_object_agg(k, v) FILTER (WHERE k IS NOT NULL), '{}') AS d,
                          coalesce(jsonb_object_agg(k, left(v, 500)) FILTER (WHERE k IS NOT NULL), '{}') AS short
                     FROM unnest(string_to_array(nullif($5, ''), E'\x01'), string_to_array($6, E'\x01')) AS t(k, v)
               ), recorded AS (
                   INSERT INTO zdm.event (migration, name, event, phase, detail)
                   SELECT $1::bigint, $2, $3, $4, d FROM detail
                   RETURNING at, name, event, phase, role
               )
               SELECT pg_notify('zdm', (to_jsonb(recorded) || jsonb_build_object('detail', short))::text)
                 FROM recorded, detail)",
            {migration.id, migration.name, event, phase, fmt::format("{}", fmt::join(keys, "\x01")),
             fmt::format("{}", fmt::join(values, "\x01"))});
}

}  // namespace zdm
