#include "state/migration.hpp"

#include "state/names.hpp"
#include "state/event.hpp"
#include "state/pacing.hpp"
#include "state/unsynced_write.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr const char *phase_names[] = {"queued", "expand", "backfill", "build",  "verify",
                                       "ready",  "soak",   "done",     "aborted"};

// Whoever owns the table now, as the server itself does it with the code of a table's indexes: a
// table that is given to another role in mid-migration goes with it.
#define ZDM_OWNER_OF_NOW \
    "coalesce((SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = relation), owner)"

// And whatever it is called now.
#define ZDM_NAME_OF_NOW                                                                           \
    "coalesce((SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c"                   \
    "            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation" \
    "             AND c.relpersistence <> 't'), relation_name)"

#define ZDM_MIGRATION_COLUMNS                                          \
    "id, name, kind, relation, " ZDM_NAME_OF_NOW ", " ZDM_OWNER_OF_NOW \
    ", definition, phase, target, state, message, "                    \
    "error_code, revertible, evaluation, array_to_string(settings, E'\\x01')"

Migration from_row(const Rows &rows, size_t row) {
    Migration migration;
    migration.id = rows.integer(row, 0);
    migration.name = rows.text(row, 1);
    migration.kind = rows.text(row, 2);
    migration.relation = rows.oid(row, 3);
    migration.relation_name = rows.text(row, 4);
    migration.owner = rows.oid(row, 5);
    migration.definition = rows.text(row, 6);
    migration.phase = phase_named(rows.text(row, 7));
    migration.target = phase_named(rows.text(row, 8));
    migration.state = rows.text(row, 9);
    migration.message = rows.text(row, 10);
    migration.error_code = rows.text(row, 11);
    migration.revertible = rows.boolean(row, 12);
    migration.evaluation = rows.text(row, 13);
    migration.settings = split(rows.text(row, 14), '\x01');
    return migration;
}

std::optional<Migration> first(const Rows &rows) {
    if (rows.empty()) return std::nullopt;
    return from_row(rows, 0);
}

}  // namespace

std::string to_string(Phase phase) { return phase_names[static_cast<int>(phase)]; }

Phase phase_named(const std::string &name) {
    for (int i = 0; i <= static_cast<int>(Phase::aborted); ++i)
        if (name == phase_names[i]) return static_cast<Phase>(i);
    raise(sqlstate::invalid_parameter, {},
          "zdm: \"{}\" is no phase; phases are queued, expand, backfill, build, verify, ready, "
          "soak, done, aborted",
          name);
}

std::optional<Migration> load_migration(int64_t id) {
    return first(
        catalog("SELECT " ZDM_MIGRATION_COLUMNS " FROM zdm.migration WHERE id = $1::bigint", {id}));
}

std::optional<Migration> latest_migration(const std::string &name) {
    return first(catalog("SELECT " ZDM_MIGRATION_COLUMNS
                         " FROM zdm.migration WHERE name = $1 ORDER BY id DESC LIMIT 1",
                         {name}));
}

std::vector<Migration> unfinished_migrations() {
    const Rows rows =
        catalog("SELECT " ZDM_MIGRATION_COLUMNS
                " FROM zdm.migration WHERE phase NOT IN ('done', 'aborted') ORDER BY id");
    std::vector<Migration> migrations;
    for (size_t row = 0; row < rows.size(); ++row) migrations.push_back(from_row(rows, row));
    return migrations;
}

int64_t insert_migration(const Migration &migration) {
    const Rows rows = catalog(
        R"(INSERT INTO zdm.migration (name, kind, relation, relation_name, owner, definition, target,
                                      revertible, evaluation, settings)
           VALUES ($1, $2, $3::oid, $4, $5::oid, $6, $7, $8::boolean, $9,
                   string_to_array($10, E'\x01'))
           RETURNING id)",
        {migration.name, migration.kind, migration.relation, migration.relation_name,
         migration.owner, migration.definition, to_string(migration.target), migration.revertible,
         migration.evaluation, fmt::format("{}", fmt::join(migration.settings, "\x01"))});
    Migration inserted = migration;
    inserted.id = rows.integer(0, 0);
    insert_table(inserted);
    return inserted.id;
}

void insert_table(const Migration &seen_by_table) {
    catalog(R"(INSERT INTO zdm.migrated_table (migration, relation, relation_name, owner)
               VALUES ($1::bigint, $2::oid, $3, $4::oid))",
            {seen_by_table.id, seen_by_table.relation, seen_by_table.relation_name,
             seen_by_table.owner});
}

std::vector<Migration> on_each_table(const Migration &migration) {
    const Rows rows =
        catalog("SELECT relation, " ZDM_NAME_OF_NOW ", " ZDM_OWNER_OF_NOW
                " FROM zdm.migrated_table WHERE migration = $1::bigint ORDER BY relation",
                {migration.id});
    std::vector<Migration> seen;
    for (size_t row = 0; row < rows.size(); ++row) {
        seen.push_back(migration);
        seen.back().relation = rows.oid(row, 0);
        seen.back().relation_name = rows.text(row, 1);
        seen.back().owner = rows.oid(row, 2);
    }
    return seen;
}

bool has_table(const Migration &migration, uint32_t relation) {
    return !catalog(
                R"(SELECT FROM zdm.migrated_table m
                    WHERE m.migration = $1::bigint
                      AND (m.relation = $2::oid
                           OR m.relation IN (SELECT relid FROM pg_catalog.pg_partition_ancestors($2::oid::regclass))))",
                {migration.id, relation})
                .empty();
}

void note_swap(const Migration &migration) {
    catalog(
        R"(UPDATE zdm.migrated_table m SET swap_xmin = t.xmin FROM pg_catalog.pg_trigger t
            WHERE m.migration = $1::bigint AND t.tgrelid = m.relation AND t.tgname = $2)",
        {migration.id, sync_trigger_name(migration.id)});
}

std::string swap_transaction(const Migration &migration) {
    const Rows rows = catalog(
        "SELECT swap_xmin FROM zdm.migrated_table WHERE migration = $1::bigint AND relation = "
        "$2::oid",
        {migration.id, migration.relation});
    return rows.empty() ? "" : rows.text(0, 0);
}

Migration on_table(const Migration &migration, uint32_t relation) {
    if (relation == 0 || relation == migration.relation) return migration;
    for (const auto &seen : on_each_table(migration))
        if (seen.relation == relation) return seen;
    const Rows rows = catalog(
        R"(SELECT format('%I.%I', n.nspname, c.relname), c.relowner
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid)",
        {relation});
    if (rows.empty())
        raise(sqlstate::undefined_table, {},
              "{}: the table with OID {}, whose foreign key refers to it, was dropped; SELECT "
              "zdm.resume({}) goes on without it",
              described(migration), relation, Literal(migration.name));
    Migration seen = migration;
    seen.relation = relation;
    seen.relation_name = rows.text(0, 0);
    seen.owner = rows.oid(0, 1);
    return seen;
}

void hold_migration(const Migration &migration) {
    catalog("SELECT FROM zdm.migration WHERE id = $1::bigint FOR NO KEY UPDATE NOWAIT",
            {migration.id});
}

std::optional<Migration> lock_latest_migration(const std::string &name) {
    const auto seen = latest_migration(name);
    if (!seen) return seen;
    catalog("SELECT FROM zdm.migration WHERE id = $1::bigint FOR NO KEY UPDATE", {seen->id});
    return load_migration(seen->id);
}

void hold_on_way_to_done(const Migration &migration) {
    hold_migration(migration);
    if (catalog("SELECT FROM zdm.migration WHERE id = $1::bigint AND target = 'done'",
                {migration.id})
            .empty())
        raise(sqlstate::lock_not_available, {}, "{}: called off at the last moment",
              described(migration));
}

void set_phase(const Migration &migration, Phase phase) {
    if (phase == Phase::done)
        hold_on_way_to_done(migration);
    else
        hold_migration(migration);
    catalog(R"(UPDATE zdm.migration
                  SET phase = $2, updated_at = clock_timestamp(),
                      state = CASE WHEN $2 = target THEN 'idle' WHEN state = 'paused' THEN state ELSE 'running' END,
                      message = CASE WHEN $2 = target THEN '' ELSE message END, error_code = NULL,
                      soak_since = CASE WHEN $2 = 'soak' THEN clock_timestamp() END,
                      finished_at = CASE WHEN $2 IN ('done', 'aborted') THEN clock_timestamp() END
                WHERE id = $1::bigint)",
            {migration.id, to_string(phase)});
    if (phase == Phase::done || phase == Phase::aborted) {
        forget_unsynced_writes_of_finished();
        forget_pacing(migration);
    }
    record_event(migration, "phase", to_string(phase), {{"from", to_string(migration.phase)}});
}

void set_target(const Migration &migration, Phase target) {
    hold_migration(migration);
    catalog(R"(UPDATE zdm.migration
                  SET target = $2, updated_at = clock_timestamp(),
                      state = CASE WHEN $2 = phase THEN 'idle' WHEN state = 'paused' THEN state ELSE 'running' END,
                      message = '', error_code = NULL
                WHERE id = $1::bigint)",
            {migration.id, to_string(target)});
    record_event(migration, "target", to_string(migration.phase), {{"target", to_string(target)}});
}

void set_state(const Migration &migration, const std::string &state, const std::string &message,
               const std::string &error_code) {
    if (state == migration.state && message == migration.message) return;
    hold_migration(migration);
    catalog(R"(UPDATE zdm.migration
                  SET state = $2, message = $3, error_code = nullif($4, ''), updated_at = clock_timestamp()
                WHERE id = $1::bigint)",
            {migration.id, state, message, error_code});
    // Waiting comes and goes; the event log keeps that it began, not each new wording.
    if (state != migration.state)
        record_event(migration, state, to_string(migration.phase), {{"message", message}});
}

void report_state(const Migration &migration, const std::string &state, const std::string &message,
                  const std::string &error_code) {
    if (state == migration.state && message == migration.message) return;
    hold_migration(migration);
    if (catalog("SELECT FROM zdm.migration WHERE id = $1::bigint AND (state = 'paused' OR phase = "
                "target)",
                {migration.id})
            .empty())
        set_state(migration, state, message, error_code);
}

void set_revertible(const Migration &migration, bool revertible) {
    if (revertible == migration.revertible) return;
    catalog("UPDATE zdm.migration SET revertible = $2::boolean WHERE id = $1::bigint",
            {migration.id, revertible});
}

void set_setting(const Migration &migration, const std::string &setting, const Text &value) {
    catalog(R"(UPDATE zdm.migration m
                  SET settings = (SELECT coalesce(array_agg(s), '{}') FROM unnest(m.settings) s
                                   WHERE split_part(s, '=', 1) <> $2)
                              || CASE WHEN $3::text IS NULL THEN '{}' ELSE ARRAY[$2 || '=' || $3] END,
                      updated_at = clock_timestamp()
                WHERE id = $1::bigint)",
            {migration.id, setting, value});
    record_event(migration, "configure", to_string(migration.phase),
                 {{"setting", setting}, {"value", value.value_or("")}});
}

std::string described(const Migration &migration) {
    return fmt::format("zdm: migration \"{}\" on {}", migration.name, migration.relation_name);
}

}  // namespace zdm
