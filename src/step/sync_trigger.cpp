#include "step/sync_trigger.hpp"

#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void create_sync_trigger(const CarryScope &scope) {
    const Identifier trigger(sync_trigger_name(scope.migration.id));
    const SyncArguments arguments(scope.mapping, scope.migration, scope.soak_names);
    std::vector<std::string> literals;
    for (const auto &value : arguments.values()) literals.push_back(quote(Literal(value)));
    query(
        fmt::format("CREATE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW "
                    "EXECUTE FUNCTION zdm.sync({})",
                    trigger, scope.table, fmt::join(literals, ", ")));
    query(fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}", scope.table, trigger));

    std::vector<std::string> names;
    for (const auto *side : {&scope.mapping.old_columns, &scope.mapping.new_columns})
        for (const auto &column : *side) names.push_back(column.current_name(scope.soak_names));
    depend_on_columns(scope.migration.relation, sync_trigger_name(scope.migration.id), names);
}

void depend_on_columns(uint32_t relation, const std::string &trigger,
                       const std::vector<std::string> &columns) {
    const Rows rows = query(
        R"(SELECT t.oid, a.attnum
             FROM pg_trigger t JOIN pg_attribute a ON a.attrelid = t.tgrelid
            WHERE t.tgrelid = $1::oid AND t.tgname = $2 AND NOT a.attisdropped
              AND a.attname = ANY (string_to_array($3, E'\x01')))",
        {relation, trigger, fmt::format("{}", fmt::join(columns, "\x01"))});
    std::vector<int> attnums;
    for (size_t row = 0; row < rows.size(); ++row)
        attnums.push_back(static_cast<int>(rows.integer(row, 1)));
    check(zdm_depend_on_columns(rows.oid(0, 0), relation, static_cast<int>(attnums.size()),
                                attnums.data()));
}

void drop_sync_trigger(const CarryScope &scope) {
    query(fmt::format("DROP TRIGGER IF EXISTS {} ON {}",
                      Identifier(sync_trigger_name(scope.migration.id)), scope.table));
}

bool sync_trigger_is_intact(const Migration &migration) {
    const Rows rows = query(
        R"(SELECT count(*) FILTER (WHERE t.tgenabled IS DISTINCT FROM 'A')
             FROM pg_class c
             LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = $2
            WHERE c.oid = $1::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)))",
        {migration.relation, sync_trigger_name(migration.id)});
    return rows.integer(0, 0) == 0;
}

}  // namespace zdm
