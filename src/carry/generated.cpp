// Stored generated columns that read the column: they stay where they are, and get the expression
// over the new column at cutover. No row is written, which is sound only where every row's value is
// what the other expression gives: bit for bit, for nothing may change in silence. A rename cannot
// differ. Else rows are compared in phase build, so that whoever waits for ready knows; and because
// rows are written after that, a partial index of those that differ is built just before the swap,
// which then finds it empty under its lock. The same before a revert. Such an index exists for that
// long only: while it does, the other expression is evaluated for every write.
#include "carry/carrier.hpp"
#include "carry/generated.hpp"
#include "carry/index_definition.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// What stands in front of the condition in the statements of generated.hpp.
constexpr std::string_view where = " WHERE ";

class GeneratedColumn final : public Carrier {
  public:
    const char *name() const override { return "generated"; }
    int rank() const override { return 25; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        std::vector<std::string> names;
        for (const auto &column : scope.mapping.old_columns)
            names.push_back(column.current_name(scope.soak_names));
        // A partition's are no dependents of the parent's column, but read its own.
        const Rows rows = query(
            R"(SELECT f.oid, g.attname, g.attnum, pg_get_expr(f.adbin, f.adrelid), f.adrelid, format('%I.%I', n.nspname, c.relname),
                      (SELECT string_agg(format('%s.%s', d.refobjid, d.refobjsubid), ' ' ORDER BY d.refobjsubid) FROM pg_depend d
                        WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refobjsubid > 0)
                 FROM pg_attrdef f JOIN pg_attribute g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
                 JOIN pg_class c ON c.oid = f.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE (f.adrelid = $1::oid OR f.adrelid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)))
                  AND g.attgenerated = 's'
                  AND EXISTS (SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                               WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refobjid = f.adrelid
                                 AND a.attnum <> g.attnum AND a.attname = ANY (string_to_array($2, E'\x01')))
                ORDER BY f.adrelid, g.attnum)",
            {scope.migration.relation, fmt::format("{}", fmt::join(names, "\x01"))});
        for (size_t row = 0; row < rows.size(); ++row) {
            claim(dependents, pg_attrdef_id, rows.oid(row, 0));
            const std::string column = rows.text(row, 1), expression = rows.text(row, 3);
            const uint32_t relation = rows.oid(row, 4);
            const auto attnum = static_cast<int>(rows.integer(row, 2));
            const bool in_partition = relation != scope.migration.relation;
            const bool may_differ = !scope.mapping.reverse_is_identity();
            if (scope.partitioned && may_differ)
                raise(sqlstate::unsupported, {},
                      "zdm: {}: generated column {} of {} reads it, which can come along in a "
                      "partitioned table only with a rename; drop it first and add it again after "
                      "cutover",
                      described(scope), Identifier(column), rows.text(row, 5));
            // Raises where the expression does not fit the new type.
            const std::string counterpart =
                rebound(scope, expression, Side::new_side, Names::before, object_of(column),
                        {relation, attnum});
            const std::string shadow =
                may_differ ? new_object_name(scope.migration.id, column + "_generated") : "";
            found.push_back({name(), column, shadow, expression,
                             may_differ ? differing(scope, column, counterpart) : counterpart, true,
                             in_partition ? relation : 0, rows.text(row, 6)});
        }
        return found;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        if (!may_differ(carried)) return {};
        return {{0, Phase::build, compare_generated_step, carried.object,
                 fmt::format("Compare generated column {} with what it will be computed from",
                             Identifier(carried.object)),
                 fmt::format("SELECT count(*) FROM {}{}{}", scope.table, where,
                             carried.shadow_definition),
                 ""}};
    }

    std::vector<Step> freshen(const CarryScope &scope, const Carried &carried) const override {
        if (!may_differ(carried)) return {};
        return {guard(scope, carried, carried.shadow, carried.shadow_definition)};
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        if (!may_differ(carried)) return {};
        return {guard(scope, carried, old_name(scope, carried),
                      differing(scope, carried.object, old_expression(scope, carried)))};
    }

    // A cutover that was called for and called off has left it.
    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        return {drop_index_step(scope, Phase::build, carried.shadow)};
    }

    // By the same text as the index's predicate, so that the server sees that it has the answer.
    int64_t count_misfits(const CarryScope &scope, const Carried &carried,
                          Side side) const override {
        if (!may_differ(carried)) return 0;
        const bool to_new = side == Side::new_side;
        if (query(R"(SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                      WHERE i.indrelid = $1::oid AND c.relname = $2 AND i.indisvalid)",
                  {scope.migration.relation, to_new ? carried.shadow : old_name(scope, carried)})
                .empty())
            return -1;
        const std::string condition =
            to_new ? carried.shadow_definition
                   : differing(scope, carried.object, old_expression(scope, carried));
        const Rows before = query("SELECT current_setting('enable_seqscan')");
        query("SET LOCAL enable_seqscan = off");
        const int64_t count =
            query(fmt::format("SELECT count(*) FROM {}{}{}", scope.table, where, condition))
                .integer(0, 0);
        query(fmt::format("SET LOCAL enable_seqscan = {}", before.text(0, 0)));
        return count;
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        const uint32_t relation = carried.related != 0 ? carried.related : scope.migration.relation;
        const Rows rows = query(
            "SELECT attnum FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND NOT "
            "attisdropped",
            {relation, carried.object});
        if (rows.empty())
            raise(sqlstate::undefined_column, {}, "{}: there is no column {} any more",
                  described(scope.migration), Identifier(carried.object));
        const auto attnum = static_cast<int>(rows.integer(0, 0));
        const bool to_new = side == Side::new_side;
        const std::string expression =
            to_new ? rebound(as_before(scope), carried.definition, side, Names::soak,
                             object_of(carried.object), {relation, attnum})
                   : carried.definition;
        check(zdm_generation_set(relation, attnum, expression.c_str()));
        if (may_differ(carried))
            query(fmt::format("DROP INDEX IF EXISTS {}.{}", scope.schema,
                              Identifier(to_new ? carried.shadow : old_name(scope, carried))));
    }

  private:
    static bool may_differ(const Carried &carried) { return !carried.shadow.empty(); }

    static std::string object_of(const std::string &column) {
        return fmt::format("generated column {}", Identifier(column));
    }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, carried.object + "_generated");
    }

    // The stored expression speaks of the old column by its name before cutover.
    static CarryScope as_before(CarryScope scope) {
        scope.soak_names = false;
        return scope;
    }

    static std::string old_expression(const CarryScope &scope, const Carried &carried) {
        return rebound(as_before(scope), carried.definition, Side::old_side, Names::soak,
                       object_of(carried.object));
    }

    static Step guard(const CarryScope &scope, const Carried &carried, const std::string &index,
                      const std::string &condition) {
        return {0,
                Phase::soak,
                guard_generated_step,
                index,
                fmt::format("Have the server keep account of rows whose generated column {} would "
                            "differ",
                            Identifier(carried.object)),
                fmt::format("CREATE INDEX CONCURRENTLY {} ON {} ((1)){}{}", Identifier(index),
                            scope.table, where, condition),
                "SHARE UPDATE EXCLUSIVE"};
    }

    // That a row's value is not, bit for bit, what the expression would give when it is assigned to
    // the column. A cast cuts off what an assignment refuses.
    static std::string differing(const CarryScope &scope, const std::string &column,
                                 const std::string &expression) {
        const Rows rows = query(
            R"(WITH RECURSIVE t AS (
                   SELECT a.atttypid AS oid, a.atttypmod AS typmod FROM pg_attribute a
                    WHERE a.attrelid = $1::oid AND a.attname = $2
                   UNION ALL
                   SELECT d.typbasetype, CASE WHEN d.typtypmod >= 0 THEN d.typtypmod ELSE t.typmod END
                     FROM t JOIN pg_type d ON d.oid = t.oid AND d.typtype = 'd')
               SELECT (SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2),
                      format_type(b.oid, b.typmod),
                      CASE WHEN b.typmod >= 0
                           THEN CASE b.oid WHEN 1042 THEN 'bpchar' WHEN 1043 THEN 'varchar' WHEN 1560 THEN 'varbit' WHEN 1562 THEN 'varbit' END END
                 FROM t b JOIN pg_type p ON p.oid = b.oid WHERE p.typtype <> 'd')",
            {scope.migration.relation, column});
        const std::string cut =
            fmt::format("ROW({})::record OPERATOR(pg_catalog.*=) ROW(({})::{})::record",
                        Identifier(column), expression, rows.text(0, 0));
        if (!rows.null_text(0, 2)) return fmt::format("NOT ({})", cut);
        return fmt::format(
            "NOT ({} AND pg_catalog.length(({})::{}) IS NOT DISTINCT FROM "
            "pg_catalog.length(({})::{}))",
            cut, expression, rows.text(0, 2), expression, rows.text(0, 1));
    }
} const generated_carrier;

}  // namespace

std::string condition_of_generated(const Step &step) {
    return step.sql.substr(step.sql.find(where) + where.size());
}

}  // namespace zdm
