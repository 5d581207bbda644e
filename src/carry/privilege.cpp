// Privileges on the column itself. Both sides have them as long as both are there: a SELECT * of a
// role that may read every column goes on, and so does an application that knows a renamed column
// by its other name. As they stand at each swap, so what was granted or revoked since the last one
// counts.
#include "carry/privilege.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void share_privileges(const std::vector<const CarryScope *> &scopes, Side side) {
    const Side other = side == Side::new_side ? Side::old_side : Side::new_side;
    std::vector<std::string> tables, from, to, keep;
    for (const auto *scope : scopes) {
        if (!scope->is_paired()) continue;
        for (size_t pair = 0; pair < scope->mapping.old_columns.size(); ++pair) {
            tables.push_back(std::to_string(scope->migration.relation));
            from.push_back(column_at(*scope, other, pair).current_name(scope->soak_names));
            to.push_back(column_at(*scope, side, pair).current_name(scope->soak_names));
            keep.push_back(scope->keeps_names() ? "f" : "t");
        }
    }
    if (tables.empty()) return;
    const auto joined = [](const std::vector<std::string> &texts) {
        return fmt::format("{}", fmt::join(texts, "\x01"));
    };
    const Rows rows = query(
        R"(SELECT f.attrelid, f.attnum, t.attnum, p.keep::boolean
             FROM unnest(string_to_array($1, E'\x01'), string_to_array($2, E'\x01'), string_to_array($3, E'\x01'),
                         string_to_array($4, E'\x01')) AS p(root, source, target, keep)
            CROSS JOIN LATERAL (SELECT p.root::oid UNION SELECT relid FROM pg_partition_tree(p.root::oid::regclass)) AS r(relation)
             JOIN pg_attribute f ON f.attrelid = r.relation AND f.attname = p.source
             JOIN pg_attribute t ON t.attrelid = r.relation AND t.attname = p.target
            WHERE f.attacl IS DISTINCT FROM t.attacl)",
        {joined(tables), joined(from), joined(to), joined(keep)});
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
