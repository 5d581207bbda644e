// Starting a migration: validate, write it down, ask for the worker at commit. Takes no strong
// lock, so it may sit in a migration file whose transaction stays open for minutes.
#include "api/api.h"
#include "api/common.hpp"

#include <algorithm>
#include <functional>

#include "core/boundary.hpp"
#include "core/transaction.hpp"
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"
#include "state/event.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr const char *recorded_settings[] = {"zdm.lock_timeout",
                                             "zdm.batch_time",
                                             "zdm.pace",
                                             "zdm.max_workers",
                                             "zdm.max_wal_rate",
                                             "zdm.max_replica_lag",
                                             "zdm.max_replica_lag_size",
                                             "zdm.max_impact",
                                             "zdm.max_slot_retention",
                                             "zdm.max_requested_checkpoints",
                                             "zdm.max_archive_backlog",
                                             "zdm.max_horizon_age",
                                             "zdm.max_dead_rows",
                                             "zdm.min_disk_free",
                                             "zdm.max_slowdown",
                                             "zdm.max_latency_ratio",
                                             "zdm.max_row_waits",
                                             "zdm.max_table_waiters",
                                             "zdm.window",
                                             "zdm.min_soak",
                                             "zdm.wait_for_horizon",
                                             "zdm.verify_limit"};

// The worker is another process: what this session has set goes with the migration.
std::vector<std::string> session_settings() {
    std::vector<std::string> settings;
    for (const char *name : recorded_settings) {
        const char *value = nullptr;
        check(zdm_setting_of_session(name, &value));
        if (value != nullptr) settings.push_back(fmt::format("{}={}", name, value));
    }
    return settings;
}

// What depends on settings gives the same everywhere only under the same ones. Read as the caller
// has them, not as zdm's own statements do.
std::string evaluation_settings() {
    return evaluate(R"(SELECT string_agg(name || '=' || current_setting(name), ';')
                      FROM unnest(ARRAY['TimeZone', 'DateStyle', 'IntervalStyle', 'extra_float_digits',
                                        'bytea_output', 'lc_monetary']) AS name)")
        .text(0, 0);
}

// Since cutover there is nothing to abort before that is taken back.
std::string how_to_end(const std::string &migration, Phase phase) {
    const Literal name(migration);
    if (phase != Phase::soak) return fmt::format("finish it or SELECT zdm.abort({})", name);
    return fmt::format(
        "finish it (SELECT zdm.contract({})), or SELECT zdm.revert({}) and then zdm.abort({})",
        name, name, name);
}

// True: the same request as an earlier one, which is running or has led to what the table is now.
bool is_replay(const Migration &earlier, const Table &table, const Draft &draft) {
    const bool same = earlier.relation == table.relation && earlier.definition == draft.definition;
    if (earlier.unfinished() && !same)
        raise(sqlstate::conflicting_definition, {},
              "{} is unfinished (phase {}) and has another definition ({}); {}, or give this one "
              "another name",
              described(earlier), to_string(earlier.phase), earlier.definition,
              how_to_end(earlier.name, earlier.phase));
    if (same && earlier.unfinished() && earlier.target == Phase::aborted)
        raise(sqlstate::wrong_phase, {},
              "{} is being aborted; CALL zdm.wait({}, 'aborted'), then start it again",
              described(earlier), Literal(earlier.name));
    return same && (earlier.unfinished() || (earlier.phase == Phase::done && draft.already_so));
}

constexpr double longest_start_wait_ms = 5000;

// Its transaction may have done other things and stay open for long, or wait for ours.
void lock_start(const Table &table) {
    try {
        check(zdm_lock_start(table.relation, longest_start_wait_ms));
    } catch (Error &error) {
        const std::string code = error.sqlstate();
        if (!error.is_lost_lock()) throw;
        raise(code.c_str(), {},
              "zdm: cannot start a migration of {}: another transaction has started one and has "
              "neither committed nor rolled back; try again when it has",
              table.name);
    }
}

void check_overlap(const Table &table, const std::vector<std::string> &columns) {
    const Rows rows = catalog_of_now(
        R"(SELECT m.name, c.name, m.phase FROM zdm.migration m JOIN zdm.mapped_column c ON c.migration = m.id
            WHERE c.relation = $1::oid AND m.phase NOT IN ('done', 'aborted')
              AND ARRAY[c.name, c.soak_name] && string_to_array($2, E'\x01') LIMIT 1)",
        {table.relation, fmt::format("{}", fmt::join(columns, "\x01"))});
    if (rows.empty()) return;
    const std::string other = rows.text(0, 0);
    raise(sqlstate::conflicting_definition, {},
          "zdm: column {} of {} belongs to the unfinished migration \"{}\"; {} first",
          Identifier(rows.text(0, 1)), table.name, other,
          how_to_end(other, phase_named(rows.text(0, 2))));
}

// It would have another name or another type at cutover, and the expression would not find it.
void check_not_read(const Table &table, const std::vector<std::string> &columns) {
    const Rows rows = catalog_of_now(
        R"(SELECT m.name, a.attname, m.phase
             FROM zdm.migration m
             JOIN pg_catalog.pg_trigger t ON t.tgrelid = $1::oid AND t.tgname = '~zdm_sync_' || m.id
             JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_trigger'::regclass AND d.objid = t.oid
                              AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.tgrelid
             JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE m.phase NOT IN ('done', 'aborted') AND a.attname = ANY (string_to_array($2, E'\x01')) LIMIT 1)",
        {table.relation, fmt::format("{}", fmt::join(columns, "\x01"))});
    if (rows.empty()) return;
    const std::string other = rows.text(0, 0);
    raise(sqlstate::conflicting_definition, {},
          "zdm: an expression of the unfinished migration \"{}\" reads column {} of {}; {} first",
          other, Identifier(rows.text(0, 1)), table.name,
          how_to_end(other, phase_named(rows.text(0, 2))));
}

std::vector<std::string> names_of(const Mapping &mapping) {
    std::vector<std::string> names;
    for (const auto &column : mapping.old_columns) names.push_back(column.name);
    return names;
}

bool revertible(const Draft &draft) {
    if (draft.mapping.new_columns.empty()) return true;
    return draft.mapping.revertible() &&
           std::all_of(draft.further.begin(), draft.further.end(),
                       [](const auto &further) { return further.second.revertible(); });
}

void insert_planned(const Migration &migration, const Draft &draft) {
    insert_steps(migration, draft.steps);
    if (draft.plan) insert_steps(migration, draft.plan(migration));
}

void record(const Table &table, const Draft &draft, Migration migration) {
    migration.id = insert_migration(migration);
    insert_mapping(migration, draft.mapping);
    if (draft.mapping.new_columns.empty() || draft.plan)
        insert_planned(migration, draft);
    else {
        for (const auto &[other, mapping] : draft.further) {
            Migration seen = migration;
            seen.relation = other.relation;
            seen.relation_name = other.name;
            seen.owner = other.owner;
            insert_table(seen);
            insert_mapping(seen, mapping);
        }
        plan_mapping(migration);
    }
    std::vector<std::pair<std::string, std::string>> detail{{"definition", draft.definition},
                                                            {"table", table.name}};
    for (const auto &warning : draft.warnings) {
        check(zdm_warn(warning.c_str()));
        detail.push_back({"warning", warning});
        set_state(*load_migration(migration.id), "running", warning);
    }
    record_event(migration, "start", "queued", detail);
    zdm_worker_launch_at_commit();
}

bool asks_for_nothing(const Draft &draft) {
    return draft.steps.empty() && !draft.plan && draft.mapping.new_columns.empty();
}

std::string lock_of(const std::string &statement) {
    if (statement.rfind("CREATE ", 0) == 0) return "SHARE";
    if (statement.rfind("UPDATE ", 0) == 0) return "ROW EXCLUSIVE";
    return "ACCESS EXCLUSIVE";
}

// zdm.mode = direct: the plain DDL, now, as the caller; the migration is written down as done, so
// that whatever steers it later finds nothing to do.
void do_at_once(const Table &table, const Draft &draft, Migration migration) {
    if (draft.direct.empty() && !asks_for_nothing(draft))
        raise(sqlstate::unsupported, {},
              "zdm: zdm.mode = direct has no way to do {} on {}; SET zdm.mode = online for it",
              draft.kind, table.name);
    std::vector<Step> steps;
    for (const auto &statement : draft.direct) {
        evaluate(statement);
        steps.push_back({0, Phase::done, "direct", "", "Plain DDL in the caller's transaction",
                         statement, lock_of(statement)});
    }
    for (const auto &warning : draft.warnings) check(zdm_warn(warning.c_str()));
    migration.target = Phase::done;
    migration.revertible = false;
    migration.id = insert_migration(migration);
    insert_steps(migration, steps);
    for (const auto &step : load_steps(migration.id)) set_step_state(migration, step, "done");
    record_event(migration, "start", "queued",
                 {{"definition", draft.definition}, {"table", table.name}, {"mode", "direct"}});
    set_phase(*load_migration(migration.id), Phase::done);
}

// The server's parser knows neither table nor migration; several clients show the message alone.
template <typename Body>
void naming_table(const Table &table, Body &&body) {
    try {
        body();
    } catch (Error &error) {
        const std::string message = error.what();
        if (message.rfind("zdm:", 0) == 0) throw;
        raise(error.sqlstate().c_str(), {error.detail(), ""},
              "zdm: cannot start a migration of {}: {}; correct the call and repeat it", table.name,
              message);
    }
}

std::string start(uint32_t relation, const char *given_name,
                  const std::function<Draft(const Table &)> &make_draft,
                  Reach reach = Reach::whole_tree) {
    const Table table = table_for_migration(relation, reach);
    Draft draft;
    naming_table(table, [&] { draft = make_draft(table); });
    Migration migration;
    migration.name = given_name ? given_name : fmt::format("{}.{}", table.name, draft.object);
    if (migration.name.empty())
        raise(sqlstate::invalid_parameter, {}, "zdm: a migration's name cannot be empty");

    // Two that start at once would not see each other's columns.
    lock_start(table);
    const auto earlier = latest_migration(migration.name);
    if (earlier && is_replay(*earlier, table, draft)) {
        if (earlier->unfinished()) zdm_worker_launch_at_commit();
        return earlier->name;
    }
    check_overlap(table, draft.columns);
    naming_table(table, [&] { draft.complete(draft); });
    check_overlap(table, names_of(draft.mapping));
    check_not_read(table, names_of(draft.mapping));
    for (const auto &[other, mapping] : draft.further) {
        lock_start(other);
        check_overlap(other, names_of(mapping));
        check_not_read(other, names_of(mapping));
    }

    migration.kind = draft.kind;
    migration.relation = table.relation;
    migration.relation_name = table.name;
    migration.owner = table.owner;
    migration.definition = draft.definition;
    migration.target = draft.target;
    migration.revertible = revertible(draft);
    migration.settings = session_settings();
    migration.evaluation = evaluation_settings();
    if (zdm_settings().direct) {
        naming_table(table, [&] { do_at_once(table, draft, migration); });
        return migration.name;
    }
    // Another session may start the same one at this moment: the index decides, after its commit.
    const auto lost =
        attempt({sqlstate::unique_violation}, [&] { record(table, draft, migration); });
    if (lost) {
        const auto other = latest_migration(migration.name);
        if (!other || !is_replay(*other, table, draft))
            raise(
                sqlstate::conflicting_definition, {},
                "zdm: another session has just started a migration \"{}\"; look at zdm.status and "
                "try again",
                migration.name);
    }
    return migration.name;
}

Text nullable(const char *text) { return text ? Text(text) : std::nullopt; }

std::string required(const char *text, const char *what) {
    if (text == nullptr) raise("22004", {}, "zdm: {} cannot be NULL", what);
    return text;
}

std::vector<Text> texts(ZdmTextArray array) {
    std::vector<Text> result;
    for (int i = 0; i < array.count; ++i) result.push_back(nullable(array.values[i]));
    return result;
}

std::vector<std::string> names(ZdmTextArray array, const char *what) {
    std::vector<std::string> result;
    for (int i = 0; i < array.count; ++i) result.push_back(required(array.values[i], what));
    return result;
}

}  // namespace

}  // namespace zdm

using namespace zdm;

ErrorData *zdm_api_change_type(uint32_t relation, const char *column, const char *new_type,
                               const char *forward, const char *reverse, bool cascade,
                               const char *name, const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(relation, name, [&](const Table &table) {
            return draft_change_type(table, required(column, "column_name"),
                                     required(new_type, "new_type"), nullable(forward),
                                     nullable(reverse), cascade);
        }));
    });
}

ErrorData *zdm_api_rename_column(uint32_t relation, const char *column, const char *new_name,
                                 const char *name, const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(relation, name, [&](const Table &table) {
            return draft_rename_column(table, required(column, "column_name"),
                                       required(new_name, "new_name"));
        }));
    });
}

ErrorData *zdm_api_replace_columns(uint32_t relation, ZdmTextArray old_columns,
                                   ZdmTextArray new_columns, ZdmTextArray forward,
                                   ZdmTextArray reverse, const char *name,
                                   const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(relation, name, [&](const Table &table) {
            return draft_replace_columns(table, names(old_columns, "an old column's name"),
                                         names(new_columns, "a new column"), texts(forward),
                                         texts(reverse));
        }));
    });
}

ErrorData *zdm_api_create_index(const char *definition, const char *name,
                                const char **result) noexcept {
    return boundary([&] {
        const std::string statement = required(definition, "definition");
        *result = returned(start(
            table_of_index_statement(statement), name,
            [&](const Table &table) { return draft_create_index(table, statement); },
            Reach::one_table));
    });
}

ErrorData *zdm_api_drop_index(uint32_t index, const char *name, const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(
            table_of_index(index), name,
            [&](const Table &table) { return draft_drop_index(table, index); }, Reach::one_table));
    });
}

ErrorData *zdm_api_add_column(uint32_t relation, const char *column, const char *type,
                              const char *value, bool not_null, const char *column_default,
                              const char *name, const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(relation, name, [&](const Table &table) {
            return draft_add_column(table, required(column, "column_name"),
                                    required(type, "column_type"), nullable(value), not_null,
                                    nullable(column_default));
        }));
    });
}

ErrorData *zdm_api_set_not_null(uint32_t relation, const char *column, const char *value,
                                const char *name, const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(relation, name, [&](const Table &table) {
            return draft_set_not_null(table, required(column, "column_name"), nullable(value));
        }));
    });
}

ErrorData *zdm_api_drop_column(uint32_t relation, const char *column, const char *name,
                               const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(relation, name, [&](const Table &table) {
            return draft_drop_column(table, required(column, "column_name"));
        }));
    });
}

ErrorData *zdm_api_add_constraint(uint32_t relation, const char *constraint_name,
                                  const char *definition, const char *name,
                                  const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(
            relation, name,
            [&](const Table &table) {
                return draft_add_constraint(table, required(constraint_name, "constraint_name"),
                                            required(definition, "definition"));
            },
            Reach::one_table));
    });
}

ErrorData *zdm_api_split_table(uint32_t relation, const char *new_table, ZdmTextArray columns,
                               const char *name, const char **result) noexcept {
    return boundary([&] {
        *result = returned(start(relation, name, [&](const Table &table) {
            return draft_split_table(table, required(new_table, "new_table"),
                                     names(columns, "a column's name"));
        }));
    });
}
