// Publications that name the column in a list of columns or read it in a row filter, for the table
// or for a partition of it. The server keeps both by column number: the table is taken out and put
// in again by the same text, in which the name now means the other column; at a rename it borrows
// that name for the moment. All in the swap's transaction, so a subscriber sees no change without
// it.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr uint32_t pg_publication_rel_id = 6106;

class Publication final : public Carrier {
  public:
    const char *name() const override { return "publication"; }
    int rank() const override { return 84; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const Rows rows = query(
            R"(SELECT r.oid, p.pubname,
                      format('ALTER PUBLICATION %I ADD TABLE %I.%I', p.pubname, n.nspname, c.relname)
                      || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n)
                                             FROM unnest(r.prattrs::int2[]) WITH ORDINALITY AS u(attnum, n)
                                             JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = u.attnum) || ')', '')
                      || coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', ''),
                      pg_has_role($2::oid, p.pubowner, 'USAGE'), p.pubowner::regrole, $2::oid::regrole,
                      format('ALTER PUBLICATION %I DROP TABLE %I.%I', p.pubname, n.nspname, c.relname), format('%I.%I', n.nspname, c.relname)
                 FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                 JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE r.prrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
                ORDER BY p.pubname, r.prrelid)",
            {scope.migration.relation, scope.migration.owner});
        for (size_t row = 0; row < rows.size(); ++row) {
            if (!claim(dependents, pg_publication_rel_id, rows.oid(row, 0))) continue;
            if (!rows.boolean(row, 3))
                raise(sqlstate::unsupported, {},
                      "zdm: {}: publication {} of {} names the column, and the table's owner {} "
                      "may not change it; ALTER PUBLICATION {} DROP TABLE {} first, and put it in "
                      "again after cutover",
                      described(scope), Identifier(rows.text(row, 1)), rows.text(row, 4),
                      rows.text(row, 5), Identifier(rows.text(row, 1)), rows.text(row, 7));
            found.push_back({name(), rows.text(row, 1), "", rows.text(row, 2), rows.text(row, 6),
                             true, 0, columns_of(pg_publication_rel_id, rows.oid(row, 0))});
        }
        return found;
    }

    bool names_old_columns() const override { return true; }

    void take_off(const CarryScope &, const Carried &carried, Side) const override {
        query(carried.shadow_definition);
    }

    void put_on(const CarryScope &, const Carried &carried, Side) const override {
        query(carried.definition);
    }
} const publication_carrier;

}  // namespace
}  // namespace zdm
