// GENERATED AS IDENTITY: moves to the side that the application writes. The new sequence goes on
// where the old one is, under the lock that lets nobody take a value in between, with its name and
// options: no value is given twice, none is refused.
#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Identity final : public Carrier {
  public:
    const char *name() const override { return "identity"; }
    // Behind NOT NULL, which it demands.
    int rank() const override { return 35; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired() || scope.partitioned) return found;
        for (const auto &column : scope.mapping.old_columns) {
            const Rows rows = query(
                R"(SELECT c.oid, a.attidentity, c.relacl IS NULL
                     FROM pg_attribute a
                     JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                                     AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
                     JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
                    WHERE a.attrelid = $1::oid AND a.attname = $2 AND a.attidentity <> '')",
                {scope.migration.relation, column.current_name(scope.soak_names)});
            // With privileges of its own it is left unclaimed, so refused by name.
            if (rows.empty() || !rows.boolean(0, 2)) continue;
            claim(dependents, pg_class_id, rows.oid(0, 0));
            found.push_back(
                {name(), column.name, "", rows.text(0, 1) == "a" ? "ALWAYS" : "BY DEFAULT", ""});
        }
        return found;
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        const Side other = side == Side::old_side ? Side::new_side : Side::old_side;
        const Identifier from = column_of(scope, other, carried.object);
        const Identifier to = column_of(scope, side, carried.object);
        // A limit that is the old type's own becomes the new type's, as ALTER TYPE does it.
        const Rows rows = query(
            R"(SELECT format('%I.%I', n.nspname, c.relname),
                      format('START %s INCREMENT %s%s%s CACHE %s%s', s.seqstart, s.seqincrement,
                             CASE WHEN s.seqmax IN (32767, 2147483647, 9223372036854775807) AND s.seqincrement > 0 THEN '' ELSE format(' MAXVALUE %s', s.seqmax) END,
                             CASE WHEN s.seqmin IN (-32768, -2147483648, -9223372036854775808) AND s.seqincrement < 0 THEN '' ELSE format(' MINVALUE %s', s.seqmin) END,
                             s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END),
                      obj_description(c.oid, 'pg_class')
                 FROM pg_attribute a
                 JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
                                 AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
                 JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
                 JOIN pg_sequence s ON s.seqrelid = c.oid
                WHERE a.attrelid = $1::oid AND a.attname = $2 AND a.attidentity <> '')",
            {scope.migration.relation, from.name});
        if (rows.empty())
            raise(sqlstate::undefined_object, {}, "{}: column {} is no identity column any more",
                  described(scope.migration), from);
        const std::string sequence = rows.text(0, 0);
        const Rows position = query(fmt::format("SELECT last_value, is_called FROM {}", sequence));
        query(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP IDENTITY", scope.table, from));
        query(
            fmt::format("ALTER TABLE {} ALTER COLUMN {} ADD GENERATED {} AS IDENTITY (SEQUENCE "
                        "NAME {} {})",
                        scope.table, to, carried.definition, sequence, rows.text(0, 1)));
        query("SELECT setval($1::regclass, $2::bigint, $3::boolean)",
              {sequence, position.integer(0, 0), position.boolean(0, 1)});
        if (rows.null_text(0, 2))
            query(fmt::format("COMMENT ON SEQUENCE {} IS {}", sequence, Literal(rows.text(0, 2))));
        // Of the other side DROP IDENTITY leaves NOT NULL, which nothing may demand of it in soak.
        if (side == Side::new_side)
            query(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", scope.table, from));
    }
} const identity_carrier;

}  // namespace
}  // namespace zdm
