#include "step/sync_trigger.hpp"

#include "core/transaction.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// Dropped in silence, a column that an expression reads would part the sides as one that is mapped.
std::vector<std::string> read_columns(const CarryScope &scope) {
    const SyncArguments arguments(scope.mapping, scope.migration, scope.soak_names);
    int count = 0;
    const char *const *names = nullptr;
    check(zdm_sync_reads(scope.migration.relation, arguments.view(), &count, &names));
    return {names, names + count};
}

}  // namespace

void create_sync_trigger(const CarryScope &scope) {
    const std::string name = sync_trigger_name(scope.migration.id);
    const SyncArguments arguments(scope.mapping, scope.migration, scope.soak_names);
    std::vector<std::string> literals;
    for (const auto &value : arguments.values()) literals.push_back(quote(Literal(value)));
    query(
        fmt::format("CREATE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW "
                    "EXECUTE FUNCTION zdm.sync({})",
                    Identifier(name), scope.table, fmt::join(literals, ", ")));
    query(fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}", scope.table, Identifier(name)));

    std::vector<std::string> columns = read_columns(scope);
    for (const auto *side : {&scope.mapping.old_columns, &scope.mapping.new_columns})
        for (const auto &column : *side) columns.push_back(column.current_name(scope.soak_names));
    depend_on_columns(scope.migration.relation, name, columns);
}

void depend_on_columns(uint32_t relation, const std::string &trigger,
                       const std::vector<std::string> &columns) {
    std::vector<const char *> names;
    for (const auto &column : columns) names.push_back(column.c_str());
    check(zdm_trigger_depend(relation, trigger.c_str(), static_cast<int>(names.size()),
                             names.data()));
}

void go_with_sync_trigger(const Migration &migration, const std::string &constraint) {
    const Rows rows = catalog(
        R"(SELECT k.oid, t.oid
             FROM pg_constraint k
            CROSS JOIN pg_trigger t
            WHERE k.conrelid = ANY ()" ZDM_TREE_OF(
            "$1::oid") R"() AND k.conname = $2 AND k.contype = 'c'
              AND t.tgname = $3 AND t.tgparentid = 0
              AND (t.tgrelid = $1::oid OR t.tgrelid IN (SELECT relid FROM pg_partition_ancestors($1::oid::regclass))))",
        {migration.relation, constraint, sync_trigger_name(migration.id)});
    for (size_t row = 0; row < rows.size(); ++row)
        check(zdm_constraint_bind_to_trigger(rows.oid(row, 0), rows.oid(row, 1)));
}

void drop_sync_trigger(const CarryScope &scope) {
    const Rows rows = catalog(
        R"(SELECT d.objid, t.oid
             FROM pg_trigger t
             JOIN pg_depend d ON d.refclassid = 'pg_trigger'::regclass AND d.refobjid = t.oid
                             AND d.classid = 'pg_constraint'::regclass AND d.deptype = 'a'
            WHERE t.tgrelid = $1::oid AND t.tgname = $2)",
        {scope.migration.relation, sync_trigger_name(scope.migration.id)});
    for (size_t row = 0; row < rows.size(); ++row)
        check(zdm_constraint_release_from_trigger(rows.oid(row, 0), rows.oid(row, 1)));
    query(fmt::format("DROP TRIGGER IF EXISTS {} ON {}",
                      Identifier(sync_trigger_name(scope.migration.id)), scope.table));
}

bool sync_trigger_is_intact(const Migration &migration) {
    const Rows rows = catalog(
        R"(SELECT count(*) FILTER (WHERE t.tgenabled IS DISTINCT FROM 'A')
             FROM pg_class c
             LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = $2
            WHERE c.oid = ANY ()" ZDM_TREE_OF("$1::oid") R"())",
        {migration.relation, sync_trigger_name(migration.id)});
    return rows.integer(0, 0) == 0;
}

bool sync_triggers_are_intact(const Migration &migration) {
    for (const auto &seen : on_each_table(migration))
        if (!sync_trigger_is_intact(seen)) return false;
    return true;
}

std::string why_out_of_sync(const CarryScope &scope) {
    const auto behind = trigger_behind_sync(scope.migration.relation);
    if (behind)
        return fmt::format(
            "trigger {} fires after the sync trigger, and what it changes is not in sync; give it "
            "a name that sorts before ~zdm_sync",
            *behind);
    const auto unfit = attempt({"42703", "42704", "42725", "42804", "42846", "42883", "42501"},
                               [&] { read_columns(scope); });
    if (unfit)
        return fmt::format("its expressions do not fit the table any more ({}); mend that",
                           unfit->what());
    return "";
}

Text trigger_behind_sync(uint32_t relation) {
    const Rows rows = catalog(
        R"(SELECT format('%I on %I.%I', tgname, n.nspname, c.relname)
             FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE tgrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
              AND NOT tgisinternal AND tgtype & 3 = 3 AND tgenabled <> 'D'
              AND tgname::text COLLATE "C" > '~zdm_sync_' AND tgname NOT LIKE '~zdm\_sync\_%'
            ORDER BY tgrelid, tgname LIMIT 1)",
        {relation});
    return rows.empty() ? std::nullopt : Text(rows.text(0, 0));
}

}  // namespace zdm
