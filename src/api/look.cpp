// Looking closely: a verify pass and repairs in the caller's session, and the gate for deploys.
#include "api/api.h"
#include "api/common.hpp"

#include "core/boundary.hpp"
#include "core/user.hpp"
#include "state/discrepancy.hpp"
#include "state/event.hpp"
#include "state/mapping.hpp"
#include "state/scan.hpp"
#include "state/settings.hpp"
#include "state/unsynced_write.hpp"
#include "step/split.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

bool is_split(const Migration &migration) { return migration.kind == "split_table"; }

// Old and new side can be compared: every row was copied.
void check_comparable(const Migration &migration, const char *what) {
    check_owner(migration);
    if (migration.phase >= Phase::build && migration.phase <= Phase::soak &&
        (is_split(migration) || !load_mapping(migration).new_columns.empty()))
        return;
    raise(sqlstate::wrong_phase, {}, "{} cannot be {} in phase {}: {}", described(migration), what,
          to_string(migration.phase),
          migration.unfinished()
              ? fmt::format("rows are still being copied; CALL zdm.wait({}) first",
                            Literal(migration.name))
              : std::string("there is only one side left"));
}

int64_t verify_table(const Migration &migration) {
    const SyncArguments arguments(load_mapping(migration), migration, migration.soaking());
    const Settings settings = apply_settings(migration);
    const Rows heaps = query(
        R"(SELECT c.oid, pg_relation_filenode(c.oid), pg_relation_size(c.oid) / current_setting('block_size')::bigint
             FROM pg_class c
            WHERE c.relkind = 'r'
              AND c.oid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
            ORDER BY c.oid)",
        {migration.relation});
    const bool either_may_lack = forget_unsynced_writes(migration);
    int64_t count = 0, lost = 0;
    for (size_t row = 0; row < heaps.size(); ++row) {
        ZdmVerifyReport report{};
        // The expressions are the owner's code, whoever calls: a superuser must not run it as one.
        OwnerScope as_owner(migration.owner);
        check(zdm_verify_run(heaps.oid(row, 0), heaps.oid(row, 1), arguments.view(), 0,
                             static_cast<uint32_t>(heaps.integer(row, 2)), 0, settings.verify_limit,
                             &report));
        insert_discrepancies(migration, heaps.oid(row, 0), report);
        count += report.discrepancies;
        lost += migration.soaking() ? report.lost_with_old : report.discrepancies;
    }
    // A cutover or a contract may be on its way, and the notes that are gone may be those of the
    // rows found.
    if (lost > 0 || (either_may_lack && count > 0))
        note_unsynced_write(migration, !either_may_lack);
    return count;
}

int64_t verify_tables(const Migration &migration) {
    int64_t count = 0;
    for (const auto &seen : on_each_table(migration)) count += verify_table(seen);
    return count;
}

int64_t verify(const Migration &migration) {
    check_comparable(migration, "verified");
    resolve_discrepancies(migration);
    int64_t count = 0;
    if (is_split(migration))
        count = verify_split(load_split(migration, load_mapping(migration)),
                             apply_settings(migration).verify_limit);
    else
        count = verify_tables(migration);
    record_event(migration, "verify", to_string(migration.phase),
                 {{"discrepancies", std::to_string(count)}});
    return count;
}

// Where the row of a key is now. The key's columns are compared in their own types.
std::optional<std::pair<uint32_t, uint16_t>> locate(const OpenDiscrepancy &discrepancy) {
    const Rows table = query(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid "
        "= "
        "c.relnamespace WHERE c.oid = $1::oid",
        {discrepancy.relation});
    if (table.empty()) return std::nullopt;
    const Rows keys = query(
        R"(SELECT k.key, format_type(a.atttypid, a.atttypmod)
             FROM jsonb_object_keys($1::jsonb) AS k(key)
             LEFT JOIN pg_attribute a ON a.attrelid = $2::oid AND a.attname = k.key AND a.attnum > 0)",
        {discrepancy.key, discrepancy.relation});
    std::vector<std::string> conditions;
    for (size_t row = 0; row < keys.size(); ++row)
        conditions.push_back(fmt::format("{} = ($1::jsonb ->> {})::{}",
                                         Identifier(keys.text(row, 0)), Literal(keys.text(row, 0)),
                                         keys.null_text(row, 1) ? keys.text(row, 1) : "tid"));
    const Rows found =
        query(fmt::format("SELECT (ctid::text::point)[0]::bigint, (ctid::text::point)[1]::integer "
                          "FROM ONLY {} WHERE {}",
                          table.text(0, 0), fmt::join(conditions, " AND ")),
              {discrepancy.key});
    if (found.empty()) return std::nullopt;
    return std::make_pair(static_cast<uint32_t>(found.integer(0, 0)),
                          static_cast<uint16_t>(found.integer(0, 1)));
}

// The heap is that table or one of its partitions.
bool belongs_to(const OpenDiscrepancy &discrepancy, const Migration &migration) {
    return discrepancy.relation == migration.relation ||
           query("SELECT $1::oid IN (SELECT relid FROM pg_partition_tree($2::oid::regclass))",
                 {discrepancy.relation, migration.relation})
               .boolean(0, 0);
}

int64_t repair_table(const Migration &migration) {
    const std::string other = other_backfill(migration);
    if (!other.empty())
        raise(
            sqlstate::wrong_phase, {},
            "{} cannot be repaired while the backfill of migration \"{}\" is under way on the same "
            "table; CALL zdm.wait({}) first",
            described(migration), other, Literal(other));
    const SyncArguments arguments(load_mapping(migration), migration, migration.soaking());
    int64_t count = 0;
    for (const auto &discrepancy : open_discrepancies(migration)) {
        if (!belongs_to(discrepancy, migration)) continue;
        bool repaired = false, gone = false;
        {
            OwnerScope as_owner(migration.owner);
            const auto place = locate(discrepancy);
            gone = !place;
            if (place)
                check(zdm_repair_row(discrepancy.relation, arguments.view(), place->first,
                                     place->second, &repaired));
        }
        // A row that is gone has nothing to disagree about any more.
        if (repaired || gone) resolve_discrepancy(discrepancy.row_id);
        count += repaired;
    }
    return count;
}

int64_t repair(const Migration &migration) {
    check_comparable(migration, "repaired");
    int64_t count = 0;
    if (is_split(migration))
        count = repair_split(load_split(migration, load_mapping(migration)));
    else
        for (const auto &seen : on_each_table(migration)) count += repair_table(seen);
    record_event(migration, "repair", to_string(migration.phase),
                 {{"rows", std::to_string(count)}});
    return count;
}

void assert_ready(const Migration &migration) {
    const bool stands = migration.state != "failed" && migration.target != Phase::aborted;
    if (stands && migration.phase > Phase::ready && migration.phase <= Phase::done) return;
    if (stands && migration.phase == Phase::ready) {
        const auto different = open_discrepancies(migration).size();
        if (different > 0)
            raise(sqlstate::not_ready, {}, "{} is not ready: {}", described(migration),
                  difference(migration, different));
        if (!has_unsynced_writes(migration)) return;
        raise(sqlstate::not_ready, {},
              "{} is not ready: rows were written since verify that the expression fails for; "
              "SELECT zdm.verify({}) lists them in zdm.discrepancy; correct them, and it must find "
              "none",
              described(migration), Literal(migration.name));
    }
    const Rows rows = catalog(
        R"(SELECT state, message, round(progress * 100), next_action FROM zdm.status
            WHERE name = $1 ORDER BY started_at DESC LIMIT 1)",
        {migration.name});
    raise(sqlstate::not_ready, {}, "{} is not ready: phase {} ({} %), {}{}{}; next: {}",
          described(migration), to_string(migration.phase), rows.text(0, 2), rows.text(0, 0),
          rows.text(0, 1).empty() ? "" : ": ", rows.text(0, 1), rows.text(0, 3));
}

}  // namespace

}  // namespace zdm

using namespace zdm;

ErrorData *zdm_api_verify(const char *name, int64_t *count) noexcept {
    return boundary([&] { *count = verify(migration_to_look_at(name)); });
}

ErrorData *zdm_api_repair(const char *name, int64_t *count) noexcept {
    return boundary([&] { *count = repair(migration_to_look_at(name)); });
}

ErrorData *zdm_api_assert_ready(const char *name) noexcept {
    return boundary([&] { assert_ready(migration_to_look_at(name)); });
}
