// Privileges on the column itself. Both sides have them as long as both are there: a SELECT * of a
// role that may read every column goes on, and so does an application that knows a renamed column
// by its other name. As they stand at each swap, so what was granted or revoked since the last one
// counts.
#include "carry/privilege.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void share_privileges(const CarryScope &scope, Side side) {
    if (!scope.is_paired()) return;
    const Side other = side == Side::new_side ? Side::old_side : Side::new_side;
    for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair) {
        const Rows rows = query(
            R"(SELECT f.attrelid, f.attnum, t.attnum
                 FROM pg_attribute f JOIN pg_attribute t ON t.attrelid = f.attrelid
                WHERE (f.attrelid = $1::oid OR f.attrelid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)))
                  AND f.attname = $2 AND t.attname = $3 AND f.attacl IS DISTINCT FROM t.attacl)",
            {scope.migration.relation, column_at(scope, other, pair).current_name(scope.soak_names),
             column_at(scope, side, pair).current_name(scope.soak_names)});
        for (size_t row = 0; row < rows.size(); ++row)
            check(zdm_column_share_acl(rows.oid(row, 0), static_cast<int>(rows.integer(row, 1)),
                                       static_cast<int>(rows.integer(row, 2)),
                                       !scope.keeps_names()));
    }
}

namespace {

class Privilege final : public Carrier {
  public:
    const char *name() const override { return "privilege"; }
    int rank() const override { return 71; }

    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        // What will have been granted by then is not known yet.
        if (scope.is_paired()) return {{name(), scope.mapping.old_columns.at(0).name, "", "", ""}};
        for (const auto &column : scope.mapping.old_columns) {
            const Rows rows = query(
                R"(SELECT g.privilege_type, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END
                     FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) g
                     LEFT JOIN pg_roles r ON r.oid = g.grantee
                    WHERE a.attrelid = $1::oid AND a.attname = $2 ORDER BY 2, 1)",
                {scope.migration.relation, column.current_name(scope.soak_names)});
            if (!rows.empty())
                raise(sqlstate::unsupported, {},
                      "zdm: {}: {} has {} on column {}, which has no single successor; revoke it "
                      "first and grant it again after cutover",
                      described(scope), rows.text(0, 1), rows.text(0, 0), Identifier(column.name));
        }
        return {};
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &scope, const Carried &, Side side) const override {
        share_privileges(scope, side);
    }
} const privilege_carrier;

}  // namespace
}  // namespace zdm
