// Privileges on the column itself. Both sides have them as long as both are there: a SELECT * of a
// role that may read every column goes on, and so does an application that knows a renamed column
// by its other name. As they stand at each swap, so what was granted or revoked since the last one
// counts.
#include "carry/privilege.hpp"

#include "carry/column_pairs.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void share_privileges(const std::vector<const CarryScope *> &scopes, Side side) {
    const std::string pairs = column_pairs(scopes, side);
    if (pairs.empty()) return;
    const Rows rows = query(
        fmt::format("SELECT source.attrelid, source.attnum, target.attnum, both_names FROM {} "
                    "WHERE source.attacl IS DISTINCT FROM target.attacl",
                    pairs));
    for (size_t row = 0; row < rows.size(); ++row)
        check(zdm_column_share_acl(rows.oid(row, 0), static_cast<int>(rows.integer(row, 1)),
                                   static_cast<int>(rows.integer(row, 2)), rows.boolean(row, 3)));
}

namespace {

class Privilege final : public Carrier {
  public:
    const char *name() const override { return "privilege"; }
    int rank() const override { return 71; }

    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        // What will have been granted by then is not known yet: the swap looks for itself.
        if (scope.is_paired()) return {};
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

    void put_on(const CarryScope &, const Carried &, Side) const override {}
} const privilege_carrier;

}  // namespace
}  // namespace zdm
