// alter_type: the server changes the type without touching a row (varchar(20) to text), so there is
// no shadow column: one short statement under the lock policy.
//
// Whether it is short was found out at start. From then until the lock anybody may change the
// column, its type or what hangs on it, so it is found out again under the lock; and for timestamps
// it depends on the time zone, so both times and for the statement it is the caller's.
#include "step/alter_type.hpp"

#include "state/index.hpp"
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// It re-validates CHECK constraints and rebuilds indexes with expressions or predicates, invalid
// ones, and those of partitions, which go with their parent's (TryReuseIndex). What a generated
// column reads it does not change at all.
bool has_dependent_in_the_way(uint32_t relation, const std::string &column) {
    return !catalog(
                R"(SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                    WHERE d.refclassid = 'pg_class'::regclass
                      AND d.refobjid = ANY ()" ZDM_TREE_OF("$1::oid") R"() AND a.attname = $2
                      AND ((d.classid = 'pg_constraint'::regclass
                            AND (SELECT contype FROM pg_constraint WHERE oid = d.objid) IN ('c', 'f', 'x'))
                           OR (d.classid = 'pg_class'::regclass
                               AND EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                                            WHERE i.indexrelid = d.objid
                                              AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL
                                                   OR NOT i.indisvalid OR c.relkind = 'I')))
                           OR (d.classid = 'pg_attrdef'::regclass
                               AND EXISTS (SELECT FROM pg_attrdef f JOIN pg_attribute g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
                                            WHERE f.oid = d.objid AND g.attgenerated <> ''))
                           OR d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass)))",
                {relation, column})
                .empty();
}

class AlterType final : public StepKind {
  public:
    const char *name() const override { return "alter_type"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const auto &migration = turn.migration;
            const std::string verb = fmt::format(" ALTER COLUMN {} TYPE ", Identifier(step.object));
            const std::string text = step.sql.substr(step.sql.find(verb) + verb.size());
            ZdmType type{};
            check(zdm_type_parse(text.c_str(), true, &type));
            if (!alter_type_is_short(migration.relation, step.object, type, migration.evaluation))
                raise(sqlstate::unsupported, {},
                      "{}: column {} of {} can no longer be changed to {} in place: the column, "
                      "one of the types or what hangs on it was changed since the start, and now "
                      "the server would read or rewrite the table under lock; SELECT "
                      "zdm.abort({}) and start again, which then finds another way",
                      described(migration), Identifier(step.object), migration.relation_name, text,
                      Literal(migration.name));
            evaluate(
                fmt::format("ALTER TABLE {}{}{}", *quoted_relation(migration.relation), verb, text),
                migration.evaluation);
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const alter_type;

}  // namespace

bool alter_type_is_short(uint32_t relation, const std::string &column, const ZdmType &type,
                         const std::string &settings) {
    const Rows columns = catalog(
        R"(SELECT attrelid, attnum FROM pg_attribute
            WHERE attrelid = ANY ()" ZDM_TREE_OF(
            "$1::oid") R"() AND attname = $2 ORDER BY attrelid)",
        {relation, column});
    for (size_t row = 0; row < columns.size(); ++row) {
        bool rewrites = true;
        check(zdm_type_change_rewrites(columns.oid(row, 0),
                                       static_cast<int>(columns.integer(row, 1)), &type,
                                       settings.c_str(), &rewrites));
        if (rewrites) return false;
    }
    return !has_dependent_in_the_way(relation, column);
}

}  // namespace zdm
