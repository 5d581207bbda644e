// Triggers with a list of columns or a condition, row security policies: what the server keeps by
// column number, and writes down by column name. Dropped, and made again from the same text, in
// which the name now means the other column. Where the columns have different names (rename_column)
// there is no such text: left unclaimed, so refused by name.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// sql gives: OID, name, statements that make it (separated by \x01). what: TRIGGER or POLICY.
class NamedText final : public Carrier {
  public:
    NamedText(const char *name, const char *what, uint32_t class_id, int rank,
              const char *sql) noexcept
        : name_(name), what_(what), class_id_(class_id), rank_(rank), sql_(sql) {}

    const char *name() const override { return name_; }
    int rank() const override { return rank_; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.keeps_names()) return found;
        const Rows rows = query(sql_, {scope.migration.relation, scope.table});
        for (size_t row = 0; row < rows.size(); ++row)
            if (claim(dependents, class_id_, rows.oid(row, 0)))
                found.push_back({name_, rows.text(row, 1), "", rows.text(row, 2), "", true, 0,
                                 columns_of(class_id_, rows.oid(row, 0))});
        return found;
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side) const override {
        query(fmt::format("DROP {} {} ON {}", what_, Identifier(carried.object), scope.table));
    }

    void put_on(const CarryScope &, const Carried &carried, Side) const override {
        const std::string &text = carried.definition;
        for (size_t from = 0; from < text.size();) {
            const size_t to = std::min(text.find('\x01', from), text.size());
            query(text.substr(from, to - from));
            from = to == text.size() ? to : to + 1;
        }
    }

  private:
    const char *name_;
    const char *what_;
    uint32_t class_id_;
    int rank_;
    const char *sql_;
};

const NamedText trigger_carrier("trigger", "TRIGGER", 2620, 75, R"(
    SELECT t.oid, t.tgname,
           concat_ws(E'\x01', pg_get_triggerdef(t.oid),
               CASE t.tgenabled WHEN 'D' THEN format('ALTER TABLE %s DISABLE TRIGGER %I', $2, t.tgname)
                                WHEN 'R' THEN format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', $2, t.tgname)
                                WHEN 'A' THEN format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', $2, t.tgname) END,
               (SELECT format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, $2, c)
                  FROM obj_description(t.oid, 'pg_trigger') AS c WHERE c IS NOT NULL))
      FROM pg_trigger t
     WHERE t.tgrelid = $1::oid AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgname NOT LIKE '~zdm\_sync\_%'
     ORDER BY t.tgname)");

const NamedText policy_carrier("policy", "POLICY", 3256, 76, R"(
    SELECT p.oid, p.polname,
           concat_ws(E'\x01',
               format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, $2,
                      CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                      CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                      (SELECT string_agg(CASE u.role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END, ', ' ORDER BY r.rolname)
                         FROM unnest(p.polroles) AS u(role) LEFT JOIN pg_roles r ON r.oid = u.role),
                      ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                      ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
               (SELECT format('COMMENT ON POLICY %I ON %s IS %L', p.polname, $2, c)
                  FROM obj_description(p.oid, 'pg_policy') AS c WHERE c IS NOT NULL))
      FROM pg_policy p WHERE p.polrelid = $1::oid ORDER BY p.polname)");

}  // namespace
}  // namespace zdm
