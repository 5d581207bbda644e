// SECURITY LABEL ON COLUMN. Both sides have them as long as both are there: what a label hides of
// the one column must not be read in the other. Set without asking their providers, which need not
// be loaded in the worker and have agreed to them once.
#include "carry/security_label.hpp"

#include "carry/column_pairs.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void share_security_labels(const std::vector<const CarryScope *> &scopes, Side side) {
    const std::string pairs = column_pairs(scopes, side);
    if (pairs.empty() || query("SELECT FROM pg_seclabel LIMIT 1").empty()) return;
    const Rows rows = query(fmt::format(
        R"(WITH label AS (SELECT objoid, objsubid, provider, label FROM pg_seclabel
                           WHERE classoid = 'pg_class'::regclass AND objsubid > 0),
           labelled AS (SELECT DISTINCT objoid, provider FROM label)
           SELECT target.attrelid, target.attnum, p.provider, s.label FROM {}
             JOIN labelled p ON p.objoid = target.attrelid
             LEFT JOIN label s ON (s.objoid, s.objsubid, s.provider) = (p.objoid, source.attnum, p.provider)
             LEFT JOIN label t ON (t.objoid, t.objsubid, t.provider) = (p.objoid, target.attnum, p.provider)
            WHERE s.label IS DISTINCT FROM t.label)",
        pairs));
    for (size_t row = 0; row < rows.size(); ++row)
        check(zdm_column_set_label(rows.oid(row, 0), static_cast<int>(rows.integer(row, 1)),
                                   rows.text(row, 2).c_str(),
                                   rows.null_text(row, 3) ? rows.text(row, 3).c_str() : nullptr));
}

namespace {

class SecurityLabel final : public Carrier {
  public:
    const char *name() const override { return "security_label"; }
    int rank() const override { return 72; }

    std::vector<Carried> find(const CarryScope &scope, std::vector<Dependent> &) const override {
        // What there will be by then is not known yet: expand and the swap look for themselves.
        if (scope.is_paired()) return {};
        for (const auto &column : scope.mapping.old_columns) {
            const Rows rows = query(
                R"(SELECT s.provider FROM pg_seclabel s JOIN pg_attribute a ON a.attrelid = s.objoid AND a.attnum = s.objsubid
                    WHERE s.classoid = 'pg_class'::regclass AND s.objoid = $1::oid AND a.attname = $2)",
                {scope.migration.relation, column.current_name(scope.soak_names)});
            if (!rows.empty())
                raise(sqlstate::unsupported, {},
                      "zdm: {}: column {} has a security label of {}, and no single successor; "
                      "drop it first and set it again after cutover",
                      described(scope), Identifier(column.name), rows.text(0, 0));
        }
        return {};
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &, const Carried &, Side) const override {}
} const security_label_carrier;

}  // namespace
}  // namespace zdm
