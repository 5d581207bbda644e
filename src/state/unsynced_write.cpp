#include "state/unsynced_write.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

bool has_unsynced_writes(const Migration &migration) {
    return !catalog(R"(SELECT FROM zdm.unsynced_write u
                        WHERE u.migration = $1::bigint
                          AND EXISTS (SELECT FROM zdm.migrated_table m
                                       WHERE m.migration = u.migration
                                         AND u.relation = ANY ()" ZDM_TREE_OF("m.relation") R"())
                        LIMIT 1)",
                    {migration.id})
                .empty();
}

bool has_unsynced_writes(const Migration &migration, std::optional<Side> given_up) {
    return !catalog(R"(SELECT FROM zdm.unsynced_write u
                        WHERE u.migration = $1::bigint
                          AND u.relation = ANY ()" ZDM_TREE_OF("$2::oid") R"()
                          AND (NOT u.old_has_it OR $3::boolean)
                        LIMIT 1)",
                    {migration.id, migration.relation, given_up != Side::new_side})
                .empty();
}

bool forget_unsynced_writes(const Migration &migration) {
    // Some may be held by a caller's open zdm.verify; nobody waits for it.
    const Rows forgotten = catalog(
        R"(WITH forgotten AS (
           DELETE FROM zdm.unsynced_write
                WHERE ctid = ANY (ARRAY(SELECT u.ctid FROM zdm.unsynced_write u
                                         WHERE u.migration = $1::bigint
                                           AND u.relation = ANY ()" ZDM_TREE_OF("$2::oid") R"()
                                           FOR UPDATE SKIP LOCKED))
           RETURNING old_has_it)
           SELECT coalesce(bool_or(NOT old_has_it), false) FROM forgotten)",
        {migration.id, migration.relation});
    return forgotten.boolean(0, 0);
}

void forget_unsynced_writes_of_finished() {
    catalog(R"(DELETE FROM zdm.unsynced_write
                WHERE ctid = ANY (ARRAY(SELECT u.ctid FROM zdm.unsynced_write u
                                         WHERE NOT EXISTS (SELECT FROM zdm.migration m
                                                            WHERE m.id = u.migration
                                                              AND m.phase NOT IN ('done', 'aborted'))
                                           FOR UPDATE SKIP LOCKED)))");
}

void note_unsynced_write(const Migration &migration, bool old_has_it) {
    catalog("INSERT INTO zdm.unsynced_write VALUES ($1::bigint, $2::oid, $3::boolean)",
            {migration.id, migration.relation, old_has_it});
}

}  // namespace zdm
