// Privileges on the column itself. They are on the side that has the application's name, and on no
// other.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Privilege final : public Carrier {
  public:
    const char *name() const override { return "privilege"; }
    int rank() const override { return 71; }

    // One row a grantee and privilege; definition is what stands behind GRANT.
    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        std::vector<Carried> found;
        for (const auto &column : scope.mapping.old_columns) {
            const Rows rows = query(
                R"(SELECT g.privilege_type, CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END,
                          CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
                          g.grantor = c.relowner
                     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                     CROSS JOIN LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
                    WHERE a.attrelid = $1::oid AND a.attname = $2 ORDER BY 2, 1)",
                {scope.migration.relation, column.current_name(scope.soak_names)});
            for (size_t row = 0; row < rows.size(); ++row) {
                if (!scope.is_paired() || !rows.boolean(row, 3))
                    raise(sqlstate::unsupported, {},
                          "zdm: {}: {} has {} on column {}, which {}; revoke it first and grant it "
                          "again after cutover",
                          described(scope), rows.text(row, 1), rows.text(row, 0),
                          Identifier(column.name),
                          scope.is_paired() ? "another role than the owner has granted"
                                            : "has no single successor");
                found.push_back({name(), column.name, "",
                                 fmt::format("{} TO {}{}", rows.text(row, 0), rows.text(row, 1),
                                             rows.text(row, 2)),
                                 rows.text(row, 1)});
            }
        }
        return found;
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        query(fmt::format("REVOKE ALL ({}) ON {} FROM {} CASCADE",
                          column_of(scope, side, carried.object), scope.table,
                          carried.shadow_definition));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        const size_t to = carried.definition.find(" TO ");
        query(fmt::format("GRANT {} ({}) ON {}{}", carried.definition.substr(0, to),
                          column_of(scope, side, carried.object), scope.table,
                          carried.definition.substr(to)));
    }
} const privilege_carrier;

}  // namespace
}  // namespace zdm
