#include "api/common.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

[[noreturn]] void raise_unknown(const std::string &name) {
    raise(sqlstate::undefined_object, {},
          "zdm: there is no migration \"{}\" in this database; SELECT name FROM zdm.status lists "
          "them",
          name);
}

}  // namespace

void check_owner(const Migration &migration) {
    // The table's owner of now; of then, where the table is gone.
    const Rows rows = query(
        R"(SELECT pg_has_role(coalesce((SELECT relowner FROM pg_class WHERE oid = $1::oid),
                                       (SELECT oid FROM pg_roles WHERE oid = $2::oid)), 'USAGE'))",
        {migration.relation, migration.owner});
    if (!rows.boolean(0, 0))
        raise(sqlstate::not_owner, {}, "{}: must be owner of the table to do that",
              described(migration));
}

Migration migration_to_look_at(const std::string &name) {
    auto migration = latest_migration(name);
    if (!migration) raise_unknown(name);
    return *migration;
}

Migration migration_to_steer(const std::string &name) {
    if (query("SELECT pg_is_in_recovery()").boolean(0, 0))
        raise(
            sqlstate::read_only, {},
            "zdm: cannot steer migration \"{}\": this server is a standby; call it on the primary",
            name);
    check_owner(migration_to_look_at(name));  // before anything is locked
    return *lock_latest_migration(name);
}

std::string difference(const Migration &migration, size_t rows) {
    return fmt::format(
        "{} row{} differ{} between old and new; SELECT zdm.repair({}), and zdm.verify must find "
        "none",
        rows, rows == 1 ? "" : "s", rows == 1 ? "s" : "", Literal(migration.name));
}

const char *returned(const std::string &text) {
    const char *copy = nullptr;
    check(zdm_copy_text(text.c_str(), &copy));
    return copy;
}

}  // namespace zdm
