// Rules that read or write the column and are not part of a view over it. CREATE OR REPLACE RULE
// from its own text, in which the name now means the other column.
#include "carry/carrier.hpp"
#include "carry/view_graph.hpp"
#include "core/user.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Rule final : public Carrier {
  public:
    const char *name() const override { return "rule"; }
    int rank() const override { return 91; }
    bool is_remade() const override { return true; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        for (auto &dependent : dependents) {
            if (dependent.claimed || dependent.class_id != pg_rewrite_id) continue;
            const Rows rows = query(
                R"(SELECT format('%I ON %I.%I', r.rulename, n.nspname, c.relname),
                          regexp_replace(pg_get_ruledef(r.oid), '^CREATE RULE', 'CREATE OR REPLACE RULE'),
                          c.relowner, c.oid
                     FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE r.oid = $1::oid AND r.rulename <> '_RETURN' AND r.ev_enabled = 'O')",
                {dependent.object});
            if (rows.empty()) continue;
            require_role(scope, rows.oid(0, 2), fmt::format("rule {}", rows.text(0, 0)));
            claim(dependents, pg_rewrite_id, dependent.object);
            const uint32_t on = rows.oid(0, 3);
            found.push_back({name(), rows.text(0, 0), "", rows.text(0, 1), rows.text(0, 2), true,
                             on == scope.migration.relation ? 0 : on,
                             fmt::format("{}/{}", exchanged_numbers(scope), dependent.object)});
        }
        return found;
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &, const Carried &carried, Side) const override {
        OwnerScope as_owner(static_cast<uint32_t>(std::stoul(carried.shadow_definition)));
        create_exchanged(carried.definition, carried.columns.substr(0, carried.columns.find('/')));
    }
} const rule_carrier;

}  // namespace
}  // namespace zdm
