// pause_all and resume_all: one switch for all migrations of the database. It is above the owners
// of tables, so it takes the extension's owner or a superuser.
#include "api/api.h"

#include "core/boundary.hpp"
#include "core/sql.hpp"
#include "state/global_pause.hpp"
#include "state/migration.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

void check_may(const char *call) {
    const Rows rows = query(
        R"(SELECT pg_has_role(extowner, 'USAGE'), pg_get_userbyid(extowner), pg_is_in_recovery()
             FROM pg_extension WHERE extname = 'zdm')");
    if (rows.boolean(0, 2))
        raise(sqlstate::read_only, {},
              "zdm: cannot {}: this server is a standby; call it on the primary", call);
    if (!rows.boolean(0, 0))
        raise(sqlstate::not_owner, {},
              "zdm: {} counts for all migrations of this database: must be owner of extension zdm "
              "({}); SELECT zdm.pause(name) is for one migration",
              call, Identifier(rows.text(0, 1)));
}

int32_t count_unfinished(bool launch) {
    const auto migrations = unfinished_migrations();
    for (const auto &migration : migrations) {
        if (!launch || !migration.has_work()) continue;
        zdm_worker_launch_at_commit();
        break;
    }
    return static_cast<int32_t>(migrations.size());
}

}  // namespace
}  // namespace zdm

using namespace zdm;

ErrorData *zdm_api_pause_all(int32_t *unfinished) noexcept {
    return boundary([&] {
        check_may("pause_all");
        pause_everything();
        *unfinished = count_unfinished(false);
    });
}

ErrorData *zdm_api_resume_all(int32_t *unfinished) noexcept {
    return boundary([&] {
        check_may("resume_all");
        resume_everything();
        *unfinished = count_unfinished(true);
    });
}
