// Steering: every call checks, sets a target or a state, and returns; the worker does the rest
// after commit. Asking for what is already so is no error.
#include "api/api.h"
#include "api/common.hpp"

#include "carry/plan.hpp"
#include "core/boundary.hpp"
#include "core/user.hpp"
#include "state/carried.hpp"
#include "state/discrepancy.hpp"
#include "state/scan.hpp"
#include "state/step.hpp"
#include "step/unfit.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

[[noreturn]] void refuse(const Migration &migration, const char *what, const std::string &why,
                         const std::string &instead) {
    raise(sqlstate::wrong_phase, {}, "{} cannot be {}: {}; {}", described(migration), what, why,
          instead);
}

std::string go_to(const Migration &migration, Phase target) {
    if (migration.target != target) set_target(migration, target);
    if (migration.phase != target) zdm_worker_launch_at_commit();
    return to_string(target);
}

void refuse_if_failed(const Migration &migration, const char *what) {
    if (migration.state == "failed")
        refuse(migration, what, fmt::format("it has failed ({})", migration.message),
               fmt::format("mend that and SELECT zdm.resume({}) first", Literal(migration.name)));
}

// What zdm.verify has found since must be repaired, and seen to be.
void refuse_if_different(const Migration &migration) {
    const auto count = open_discrepancies(migration).size();
    if (migration.phase != Phase::ready || count == 0) return;
    raise(sqlstate::discrepancies, {}, "{} cannot be cut over: {}", described(migration),
          difference(migration, count));
}

std::string cutover(const Migration &migration) {
    if (migration.phase == Phase::done || migration.target == Phase::done) return "done";
    if (migration.target == Phase::aborted)
        refuse(migration, "cut over", "it is aborted", "start it again");
    if (migration.phase == Phase::soak && migration.target == Phase::ready)
        refuse(migration, "cut over", "it is being reverted",
               fmt::format("CALL zdm.wait({}, 'ready') first", Literal(migration.name)));
    refuse_if_failed(migration, "cut over");
    refuse_if_different(migration);
    return go_to(migration, Phase::soak);
}

// What is dropped before the columns are: without it there is no way back. The last step drops all
// of the rest or nothing.
bool contract_began(const Migration &migration) {
    for (const auto &step : load_steps(migration.id))
        if (step.phase == Phase::done && step.state != "pending" &&
            step.kind != before_contract_step && step.kind != contract_step)
            return true;
    return false;
}

// Counting in the caller's session answers at once; past this size the worker counts online.
constexpr int64_t countable_blocks = 50000;

void refuse_unfit(const CarryScope &scope) {
    const Migration &migration = scope.migration;
    // Rows that were written without the sync trigger: the worker looks at them, and says what to
    // do.
    if (!unverified_heap(migration, Side::new_side).empty()) return;
    const int64_t blocks =
        query(
            "SELECT coalesce(sum(pg_relation_size(relid)), pg_relation_size($1::oid)) / 8192 FROM "
            "pg_partition_tree($1::oid::regclass)",
            {migration.relation})
            .integer(0, 0);
    if (blocks > countable_blocks) return;
    int64_t count = 0;
    {
        OwnerScope as_owner(migration.owner);
        count = count_unfit(scope);
    }
    raise_unfit(migration, count);
}

void refuse_out_of_order(const Migration &migration) {
    const auto later = cut_over_later(migration);
    if (!later || later->reverting) return;
    refuse(migration, "reverted",
           fmt::format("migration \"{}\" was cut over later and shares {} with it", later->name,
                       Identifier(later->object)),
           fmt::format("SELECT zdm.revert({}) or zdm.contract it first", Literal(later->name)));
}

// Kinds that map columns keep old ones until contract; the others have nothing to go back to.
std::string why_done_is_final(const Migration &migration) {
    return load_mapping(migration).new_columns.empty()
               ? "it is done"
               : "it is done and the old columns are dropped";
}

std::string revert(const Migration &migration) {
    if (migration.phase == Phase::done)
        refuse(migration, "reverted", why_done_is_final(migration),
               "start a migration the other way");
    if (migration.target == Phase::done && migration.phase != Phase::soak)
        refuse(migration, "reverted", "it has no cutover to take back",
               fmt::format("SELECT zdm.abort({}) undoes it as long as it is not done",
                           Literal(migration.name)));
    if (migration.target == Phase::aborted)
        refuse(migration, "reverted", "it is aborted", "nothing is left to do");
    if (migration.phase == Phase::soak) {
        if (migration.target == Phase::done && contract_began(migration))
            refuse(migration, "reverted", "contract has begun to drop the old columns",
                   "start a migration the other way when it is done");
        refuse_out_of_order(migration);
        const bool again = migration.target == Phase::ready;
        if (!again || migration.state == "failed")
            for (const auto &scope : scopes_of(migration)) refuse_unfit(scope);
        // Called again once the rows are mended, as the error says.
        if (again && migration.state == "failed") set_state(migration, "running", "");
    }
    return go_to(migration, Phase::ready);
}

std::string contract(const Migration &migration, bool force) {
    if (migration.phase == Phase::done) return "done";
    if (migration.target == Phase::aborted)
        refuse(migration, "contracted", "it is aborted", "start it again");
    if (migration.target == Phase::done) return go_to(migration, Phase::done);
    if (migration.phase != Phase::soak)
        refuse(migration, "contracted",
               fmt::format("it is in phase {}", to_string(migration.phase)),
               fmt::format("SELECT zdm.cutover({}) first", Literal(migration.name)));
    if (migration.target == Phase::ready && migration.state != "failed")
        refuse(migration, "contracted", "it is being reverted",
               fmt::format("CALL zdm.wait({}, 'ready') first", Literal(migration.name)));
    if (!force) {
        const Settings settings = apply_settings(migration);
        const double left =
            catalog(
                R"(SELECT $2::float8 - extract(epoch FROM clock_timestamp() - soak_since)
                                     FROM zdm.migration WHERE id = $1::bigint)",
                {migration.id, static_cast<int64_t>(settings.min_soak_seconds)})
                .number(0, 0);
        if (left > 0)
            refuse(migration, "contracted", fmt::format("zdm.min_soak has {:.0f} s to go", left),
                   fmt::format("wait, or SELECT zdm.contract({}, force => true)",
                               Literal(migration.name)));
    }
    return go_to(migration, Phase::done);
}

std::string abort(const Migration &migration) {
    if (migration.phase == Phase::soak)
        refuse(migration, "aborted", "the new columns are in use since cutover",
               fmt::format("SELECT zdm.revert({}) first", Literal(migration.name)));
    if (migration.phase == Phase::done)
        refuse(migration, "aborted", why_done_is_final(migration),
               "start a migration the other way");
    // Whoever aborts does not want it to stay where it was paused.
    if (migration.state == "paused") set_state(migration, "running", "");
    return go_to(migration, Phase::aborted);
}

std::string pause(const Migration &migration) {
    if (!migration.unfinished())
        refuse(migration, "paused", fmt::format("it is {}", to_string(migration.phase)),
               "nothing is left to do");
    set_state(migration, "paused", "paused by an operator; writes stay in sync");
    return to_string(migration.target);
}

std::string resume(const Migration &migration) {
    if (!migration.unfinished()) return to_string(migration.target);
    if (migration.state == "paused" || migration.state == "failed")
        set_state(migration, migration.phase == migration.target ? "idle" : "running", "");
    if (migration.phase != migration.target) zdm_worker_launch_at_commit();
    return to_string(migration.target);
}

// The one name that a setting is kept under: the server tells no case apart in it, by ASCII.
std::string setting_name(const std::string &given) {
    std::string name = given;
    for (char &letter : name)
        if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    return name.rfind("zdm.", 0) == 0 ? name : "zdm." + name;
}

std::string configure(const Migration &migration, const std::string &setting, const Text &value) {
    const std::string full = setting_name(setting);
    if (full == "zdm.mode" || full == "zdm.guard")
        raise(sqlstate::invalid_parameter, {}, "{}: {} counts for a session, not for a migration",
              described(migration), full);
    try {
        check(zdm_setting_override(full.c_str(), value ? value->c_str() : nullptr, false));
    } catch (Error &error) {
        raise(error.sqlstate().c_str(), {error.detail(), ""}, "{} is not configured: {}",
              described(migration), std::string(error.what()));
    }
    set_setting(migration, full, value);
    if (migration.has_work()) zdm_worker_launch_at_commit();
    return to_string(migration.target);
}

template <typename Body>
ErrorData *steer(const char *name, const char **result, Body &&body) noexcept {
    return boundary([&] { *result = returned(body(migration_to_steer(name))); });
}

}  // namespace

}  // namespace zdm

using namespace zdm;

ErrorData *zdm_api_cutover(const char *name, const char **result) noexcept {
    return steer(name, result, cutover);
}

ErrorData *zdm_api_revert(const char *name, const char **result) noexcept {
    return steer(name, result, revert);
}

ErrorData *zdm_api_contract(const char *name, bool force, const char **result) noexcept {
    return steer(name, result,
                 [&](const Migration &migration) { return contract(migration, force); });
}

ErrorData *zdm_api_abort(const char *name, const char **result) noexcept {
    return steer(name, result, zdm::abort);
}

ErrorData *zdm_api_pause(const char *name, const char **result) noexcept {
    return steer(name, result, zdm::pause);
}

ErrorData *zdm_api_resume(const char *name, const char **result) noexcept {
    return steer(name, result, resume);
}

ErrorData *zdm_api_configure(const char *name, const char *setting, const char *value,
                             const char **result) noexcept {
    return steer(name, result, [&](const Migration &migration) {
        return configure(migration, setting, value ? Text(value) : std::nullopt);
    });
}

ErrorData *zdm_api_wake(int32_t *unfinished) noexcept {
    return boundary([&] {
        const auto migrations = unfinished_migrations();
        *unfinished = static_cast<int32_t>(migrations.size());
        for (const auto &migration : migrations)
            if (migration.has_work()) return zdm_worker_launch_at_commit();
    });
}
