// Views, and views on views. A view reads columns by number, so after the exchange of names it
// would go on reading what it read before. It is made again from its own text, in which the name
// now means the other column: replaced where its columns keep their types (it stays the same object
// then, and what depends on it never notices), else dropped and created anew, with owner,
// privileges, options, defaults, rules, triggers and comments as they were.
#include "carry/carrier.hpp"
#include "carry/view_graph.hpp"
#include "core/user.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// Of the texts that a Carried keeps, the definition's statements are one list, owner and privileges
// (attnum and aclitem[]) another. columns: the numbers that are exchanged, then the view's own OID.
constexpr char separator = '\x01';

std::string statements_of(const View &view) {
    return query(
               R"(SELECT string_agg(statement, E'\x01' ORDER BY rank, name COLLATE "C")
  FROM (SELECT 1 AS rank, '' AS name,
               format('CREATE %sVIEW %s%s%s AS %s', CASE WHEN $3::boolean THEN '' ELSE 'OR REPLACE ' END, $2,
                      (SELECT format(' (%s)', string_agg(format('%I', attname), ', ' ORDER BY attnum))
                         FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 HAVING count(*) > 0),
                      (SELECT format(' WITH (%s)', string_agg(format('%I = %L', option_name, option_value), ', '))
                         FROM pg_options_to_table(c.reloptions) HAVING count(*) > 0),
                      pg_get_viewdef(c.oid)) AS statement
          FROM pg_class c WHERE c.oid = $1::oid
        UNION ALL
        SELECT 2, a.attname, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', $2, a.attname, pg_get_expr(d.adbin, d.adrelid))
          FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE d.adrelid = $1::oid AND $3::boolean
        UNION ALL
        SELECT 3, rulename, CASE WHEN $3::boolean THEN pg_get_ruledef(oid)
                                 ELSE regexp_replace(pg_get_ruledef(oid), '^CREATE RULE', 'CREATE OR REPLACE RULE') END
          FROM pg_rewrite WHERE ev_class = $1::oid AND rulename <> '_RETURN'
        UNION ALL
        SELECT 4, tgname, pg_get_triggerdef(oid)
          FROM pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal AND $3::boolean
        UNION ALL
        SELECT 5, coalesce(a.attname, ''),
               format('COMMENT ON %s IS %L', CASE WHEN a.attnum IS NULL THEN 'VIEW ' || $2 ELSE format('COLUMN %s.%I', $2, a.attname) END,
                      x.description)
          FROM pg_description x LEFT JOIN pg_attribute a ON a.attrelid = x.objoid AND a.attnum = x.objsubid AND a.attnum > 0
         WHERE x.classoid = 'pg_class'::regclass AND x.objoid = $1::oid AND $3::boolean
        UNION ALL
        SELECT 6, r.rulename, format('COMMENT ON RULE %I ON %s IS %L', r.rulename, $2, x.description)
          FROM pg_description x JOIN pg_rewrite r ON r.oid = x.objoid
         WHERE x.classoid = 'pg_rewrite'::regclass AND r.ev_class = $1::oid AND $3::boolean
        UNION ALL
        SELECT 7, t.tgname, format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, $2, x.description)
          FROM pg_description x JOIN pg_trigger t ON t.oid = x.objoid
         WHERE x.classoid = 'pg_trigger'::regclass AND t.tgrelid = $1::oid AND $3::boolean) AS s)",
               {view.oid, view.name, view.recreated})
        .text(0, 0);
}

std::string privileges_of(const View &view) {
    return query(
               R"(SELECT concat_ws(E'\x01', c.relowner, '0 ' || c.relacl::text,
                                   (SELECT string_agg(concat_ws(' ', a.attnum, a.attacl), E'\x01' ORDER BY a.attnum)
                                      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL))
                    FROM pg_class c WHERE c.oid = $1::oid)",
               {view.oid})
        .text(0, 0);
}

uint32_t owner_of(const Carried &carried) {
    return static_cast<uint32_t>(std::stoul(split(carried.shadow_definition, separator).at(0)));
}

uint32_t set_privileges(const Carried &carried) {
    const uint32_t view = query("SELECT to_regclass($1)::oid", {carried.object}).oid(0, 0);
    check(zdm_relation_set_acl(view, 0, nullptr));
    const auto parts = split(carried.shadow_definition, separator);
    for (size_t i = 1; i < parts.size(); ++i) {
        const size_t space = parts[i].find(' ');
        check(zdm_relation_set_acl(view, std::stoi(parts[i]), parts[i].c_str() + space + 1));
    }
    return view;
}

class ViewCarrier final : public Carrier {
  public:
    const char *name() const override { return "view"; }
    int rank() const override { return 90; }
    bool is_remade() const override { return true; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const bool carries = carries_views(scope);
        const std::string numbers = exchanged_numbers(scope);
        for (const auto &view : views_over(scope)) {
            claim_rules(view, dependents);
            if (carries)
                found.push_back({name(), view.name, "", statements_of(view), privileges_of(view),
                                 !view.recreated, view.oid,
                                 fmt::format("{}/{}", numbers, view.oid)});
        }
        return found;
    }

    void take_off(const CarryScope &, const Carried &carried, Side) const override {
        if (carried.keep_old) return;
        OwnerScope as_owner(owner_of(carried));
        query(fmt::format("DROP VIEW {}", carried.object));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side) const override {
        {
            OwnerScope as_owner(owner_of(carried));
            const auto statements = split(carried.definition, separator);
            const std::string numbers = carried.columns.substr(0, carried.columns.find('/'));
            for (const auto &statement : statements)
                if (&statement == &statements.front() || is_rule(statement))
                    create_exchanged(statement, numbers);
                else
                    query(statement);
        }
        if (!carried.keep_old) set_related(scope.migration, carried, set_privileges(carried));
    }

  private:
    static bool is_rule(const std::string &statement) {
        return statement.rfind("CREATE RULE ", 0) == 0 ||
               statement.rfind("CREATE OR REPLACE RULE ", 0) == 0;
    }

    // With the rules on the view itself, which write to the table as often as not.
    static void claim_rules(const View &view, std::vector<Dependent> &dependents) {
        const Rows rows = query("SELECT oid FROM pg_rewrite WHERE ev_class = $1::oid", {view.oid});
        for (size_t row = 0; row < rows.size(); ++row)
            claim(dependents, pg_rewrite_id, rows.oid(row, 0));
    }
} const view_carrier;

}  // namespace
}  // namespace zdm
