#include "carry/trigger_columns.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// The trigger and its copies: those that list $3, each with the numbers of $3 and $4 in its table,
// and whether it lists $4 too.
constexpr const char *listing =
    R"(WITH RECURSIVE same(oid) AS (
           SELECT oid FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = $2 AND NOT tgisinternal
           UNION ALL
           SELECT t.oid FROM same s JOIN pg_trigger t ON t.tgparentid = s.oid)
       SELECT t.oid, one.attnum, other.attnum, other.attnum = ANY (t.tgattr::int2[])
         FROM same s JOIN pg_trigger t ON t.oid = s.oid
         JOIN pg_attribute one ON one.attrelid = t.tgrelid AND one.attname = $3 AND NOT one.attisdropped
         JOIN pg_attribute other ON other.attrelid = t.tgrelid AND other.attname = $4 AND NOT other.attisdropped
        WHERE one.attnum = ANY (t.tgattr::int2[]))";

void change(const Rows &rows, size_t row, int column, bool add) {
    check(zdm_trigger_change_column(rows.oid(row, 0), static_cast<int>(rows.integer(row, column)),
                                    add));
}

}  // namespace

void widen_trigger(const CarryScope &scope, uint32_t partition, const std::string &trigger) {
    const uint32_t relation = partition != 0 ? partition : scope.migration.relation;
    const auto add_other = [&](const std::string &one, const std::string &other) {
        const Rows rows = query(listing, {relation, trigger, one, other});
        for (size_t row = 0; row < rows.size(); ++row)
            if (!rows.boolean(row, 3)) change(rows, row, 2, true);
    };
    for (const auto &two : renames_under_way(scope.migration.relation)) {
        add_other(two.leader, two.follower);
        add_other(two.follower, two.leader);
    }
}

void narrow_trigger(const CarryScope &scope, uint32_t partition, const std::string &trigger,
                    Side stays) {
    const uint32_t relation = partition != 0 ? partition : scope.migration.relation;
    const Side goes = stays == Side::new_side ? Side::old_side : Side::new_side;
    for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair) {
        const Rows rows =
            query(listing,
                  {relation, trigger, column_at(scope, goes, pair).current_name(scope.soak_names),
                   column_at(scope, stays, pair).current_name(scope.soak_names)});
        for (size_t row = 0; row < rows.size(); ++row) {
            if (!rows.boolean(row, 3)) change(rows, row, 2, true);
            change(rows, row, 1, false);
        }
    }
}

}  // namespace zdm
