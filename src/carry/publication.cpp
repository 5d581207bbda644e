// Publications that name the column in a list of columns or read it in a row filter. The server
// keeps both by column number: the table is taken out and put in again by the same text, in which
// the name now means the other column. All in the swap's transaction, so a subscriber sees no
// change without it.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr uint32_t pg_publication_rel_id = 6106;

class Publication final : public Carrier {
  public:
    const char *name() const override { return "publication"; }
    int rank() const override { return 84; }

    // Where the columns have different names there is no such text: left unclaimed, so refused.
    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.keeps_names()) return found;
        const Rows rows = query(
            R"(SELECT r.oid, p.pubname,
                      format('ALTER PUBLICATION %I ADD TABLE %s', p.pubname, $2)
                      || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n)
                                             FROM unnest(r.prattrs::int2[]) WITH ORDINALITY AS u(attnum, n)
                                             JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = u.attnum) || ')', '')
                      || coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', ''),
                      pg_has_role($3::oid, p.pubowner, 'USAGE'), p.pubowner::regrole, $3::oid::regrole
                 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                WHERE r.prrelid = $1::oid ORDER BY p.pubname)",
            {scope.migration.relation, scope.table, scope.migration.owner});
        for (size_t row = 0; row < rows.size(); ++row) {
            if (!claim(dependents, pg_publication_rel_id, rows.oid(row, 0))) continue;
            if (!rows.boolean(row, 3))
                raise(sqlstate::unsupported, {},
                      "zdm: {}: publication {} of {} names the column, and the table's owner {} "
                      "may not change it; ALTER PUBLICATION {} DROP TABLE {} first, and put it in "
                      "again after cutover",
                      described(scope), Identifier(rows.text(row, 1)), rows.text(row, 4),
                      rows.text(row, 5), Identifier(rows.text(row, 1)), scope.table);
            found.push_back({name(), rows.text(row, 1), "", rows.text(row, 2), "", true, 0,
                             columns_of(pg_publication_rel_id, rows.oid(row, 0))});
        }
        return found;
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side) const override {
        query(fmt::format("ALTER PUBLICATION {} DROP TABLE {}", Identifier(carried.object),
                          scope.table));
    }

    void put_on(const CarryScope &, const Carried &carried, Side) const override {
        query(carried.definition);
    }
} const publication_carrier;

}  // namespace
}  // namespace zdm
