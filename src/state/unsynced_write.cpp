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

bool has_unsynced_writes(const Migration &migration, Side given_up) {
    return !catalog(R"(SELECT FROM zdm.unsynced_write u
                        WHERE u.migration = $1::bigint
                          AND u.relation = ANY ()" ZDM_TREE_OF("$2::oid") R"()
                          AND (NOT u.old_has_it OR $3::boolean)
                        LIMIT 1)",
                    {migration.id, migration.relation, given_up == Side::old_side})
                .empty();
}

void forget_unsynced_writes(const Migration &migration) {
    // Some may be held by a caller's open zdm.verify; nobody waits for it.
    catalog(R"(DELETE FROM zdm.unsynced_write
                WHERE ctid = ANY (ARRAY(SELECT u.ctid FROM zdm.unsynced_write u
                                         WHERE u.migration = $1::bigint
                                           AND u.relation = ANY ()" ZDM_TREE_OF("$2::oid") R"()
                                           FOR UPDATE SKIP LOCKED)))",
            {migration.id, migration.relation});
}

void forget_unsynced_writes_of_finished() {
    catalog(R"(DELETE FROM zdm.unsynced_write
                WHERE ctid = ANY (ARRAY(SELECT u.ctid FROM zdm.unsynced_write u
                                         WHERE NOT EXISTS (SELECT FROM zdm.migration m
                                                            WHERE m.id = u.migration
                                                              AND m.phase NOT IN ('done', 'aborted'))
                                           FOR UPDATE SKIP LOCKED)))");
}

void note_unsynced_write(const Migration &migration) {
    catalog("INSERT INTO zdm.unsynced_write VALUES ($1::bigint, $2::oid, true)",
            {migration.id, migration.relation});
}

}  // namespace zdm
