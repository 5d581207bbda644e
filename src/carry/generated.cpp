// Generated columns that read the column: they stay where they are, and get the expression over the
// new column at cutover. No row is written, which is sound only where every row's value is what the
// other expression gives: bit for bit, for nothing may change in silence. A rename cannot
// differ. Else rows are compared in phase build, so that whoever waits for ready knows; and because
// rows are written after that, a partial index of those that differ is built just before the swap,
// which then finds it empty under its lock. The same before a revert. Such an index exists for that
// long only: while it does, the other expression is evaluated for every write.
//
// A virtual one is at any time what its expression gives, and no index may read it: it is compared
// in phase build alone, so that whoever waits for ready knows what the new column would make of it.
//
// A partition has an expression of its own, over its own columns, and only a leaf has rows: so each
// is exchanged, each leaf compared and guarded by itself. One that has come in soak is found before
// a revert; one that reads the side which is to be dropped, before that.
#include <algorithm>

#include "carry/generated.hpp"
#include "carry/index_definition.hpp"
#include "state/index.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// What stands in front of the condition in the statements of generated.hpp.
constexpr std::string_view where = " WHERE ";

constexpr const char *carrier_name = "generated";

// Carried::timing, where rows may differ; a shadow is the name of its guard.
constexpr const char *compared = "compared";

// A generated column of the table or of one of its partitions.
struct Generation {
    uint32_t oid = 0;  // of the expression, in pg_attrdef
    std::string column;
    int attnum = 0;
    std::string expression;
    uint32_t relation = 0;
    bool has_rows = false;
    std::string table;  // for messages
    std::string reads;  // as Carried::columns
    bool is_virtual = false;
    std::string made_by;  // xmin

    std::string object() const { return fmt::format("generated column {}", Identifier(column)); }
    Generated position() const { return {relation, attnum}; }
};

// Those that read a column of one of the names. A partition's are no dependents of the parent's
// column, but read its own.
std::vector<Generation> generations(const CarryScope &scope,
                                    const std::vector<std::string> &names) {
    const Rows rows = query(
        R"(SELECT f.oid, g.attname, g.attnum, pg_get_expr(f.adbin, f.adrelid), f.adrelid, c.relkind = 'r', format('%I.%I', n.nspname, c.relname),
                  (SELECT string_agg(format('%s.%s', d.refobjid, d.refobjsubid), ' ' ORDER BY d.refobjsubid) FROM pg_depend d
                    WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refobjsubid > 0),
                  g.attgenerated = 'v', f.xmin
             FROM pg_attrdef f JOIN pg_attribute g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
             JOIN pg_class c ON c.oid = f.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE f.adrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
              AND g.attgenerated <> ''
              AND EXISTS (SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                           WHERE d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refobjid = f.adrelid
                             AND a.attnum <> g.attnum AND a.attname = ANY (string_to_array($2, E'\x01')))
            ORDER BY f.adrelid, g.attnum)",
        {scope.migration.relation, fmt::format("{}", fmt::join(names, "\x01"))});
    std::vector<Generation> found;
    for (size_t row = 0; row < rows.size(); ++row)
        found.push_back({rows.oid(row, 0), rows.text(row, 1),
                         static_cast<int>(rows.integer(row, 2)), rows.text(row, 3),
                         rows.oid(row, 4), rows.boolean(row, 5), rows.text(row, 6),
                         rows.text(row, 7), rows.boolean(row, 8), rows.text(row, 9)});
    return found;
}

std::vector<std::string> names_of(const CarryScope &scope, Side side) {
    std::vector<std::string> names;
    for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair)
        names.push_back(column_at(scope, side, pair).current_name(scope.soak_names));
    return names;
}

// The expression of a column that reads the one side, over the other one.
std::string turned(CarryScope scope, const Generation &generation, Side reads, Names names) {
    if (reads == Side::new_side) std::swap(scope.mapping.old_columns, scope.mapping.new_columns);
    return rebound(scope, generation.expression, Side::new_side, names, generation.object(),
                   generation.position());
}

// Of a partition: whether it is still one.
bool is_in_tree(const CarryScope &scope, uint32_t relation) {
    return relation == scope.migration.relation ||
           !catalog(
                "SELECT FROM pg_partition_ancestors($1::oid::regclass) WHERE relid = $2::oid AND "
                "relid <> $1::oid",
                {relation, scope.migration.relation})
                .empty();
}

class GeneratedColumn final : public Carrier {
  public:
    const char *name() const override { return carrier_name; }
    int rank() const override { return 25; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        for (const auto &generation : generations(scope, names_of(scope, Side::old_side))) {
            claim(dependents, pg_attrdef_id, generation.oid);
            found.push_back(carried_of(scope, generation));
        }
        return found;
    }

    // They read the new columns, or the old ones by their names of now; from a revert on, all read
    // the old ones by the names that those have then.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        const std::string swap = swap_transaction(scope.migration);
        std::vector<Carried> present;
        for (const Side reads : {Side::new_side, Side::old_side})
            for (const auto &generation : generations(scope, names_of(scope, reads))) {
                if (find_among(scope, present, generation)) continue;
                const Carried *recorded = find_among(scope, own, generation);
                if (recorded && is_as_put_on(scope, *recorded, generation)) {
                    present.push_back(*recorded);
                    continue;
                }
                present.push_back(followed(recorded, generation.made_by == swap, [&] {
                    Generation before = generation;
                    before.expression = before_cutover(scope, own, generation, reads);
                    return carried_of(as_before(scope), before);
                }));
            }
        return present;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        if (carried.timing != compared) return {};
        Step compare{0,
                     Phase::build,
                     compare_generated_step,
                     carried.object,
                     fmt::format("Compare generated column {} with what it will be computed from",
                                 Identifier(carried.object)),
                     fmt::format("SELECT count(*) FROM {}{}{}", table_of(scope, carried), where,
                                 carried.shadow_definition),
                     ""};
        compare.related = carried.related;
        return {compare};
    }

    std::vector<Step> freshen(const CarryScope &scope, const Carried &carried) const override {
        if (!is_guarded(carried)) return {};
        return {guard(scope, carried, carried.shadow, carried.shadow_definition)};
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        if (!is_guarded(carried)) return {};
        return {
            guard(scope, carried, old_name(scope, carried), differing_from_old(scope, carried))};
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        if (!is_guarded(carried)) return std::nullopt;
        return Proof{relation_of(scope, carried), old_name(scope, carried), true};
    }

    // A cutover that was called for and called off has left it; on a partition also where that is
    // detached by now.
    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        const auto index = find_index(relation_of(scope, carried), carried.shadow);
        if (!index) return {};
        Step drop = drop_index_step(scope, Phase::build, carried.shadow);
        drop.sql = fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}", index->quoted);
        drop.relation = index->relation;
        return {drop};
    }

    // By the same text as the index's predicate, so that the server sees that it has the answer.
    int64_t count_misfits(const CarryScope &scope, const Carried &carried,
                          Side side) const override {
        const uint32_t relation = relation_of(scope, carried);
        if (!is_guarded(carried) || !is_in_tree(scope, relation)) return 0;
        const bool to_new = side == Side::new_side;
        const auto index = find_index(relation, to_new ? carried.shadow : old_name(scope, carried));
        if (!index || !index->valid) return -1;
        const std::string condition =
            to_new ? carried.shadow_definition : differing_from_old(scope, carried);
        const Rows before = query("SELECT current_setting('enable_seqscan')");
        query("SET LOCAL enable_seqscan = off");
        const int64_t count = query(fmt::format("SELECT count(*) FROM {}{}{}",
                                                table_of(scope, carried), where, condition))
                                  .integer(0, 0);
        query(fmt::format("SET LOCAL enable_seqscan = {}", before.text(0, 0)));
        return count;
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        const uint32_t relation = relation_of(scope, carried);
        const bool to_new = side == Side::new_side;
        if (is_guarded(carried))
            if (const auto index =
                    find_index(relation, to_new ? carried.shadow : old_name(scope, carried)))
                query(fmt::format("DROP INDEX {}", index->quoted));
        // A table of its own by now, which stays as it is.
        if (!is_in_tree(scope, relation)) return;
        const auto attnum = number_of(scope, carried);
        if (!attnum)
            raise(sqlstate::undefined_column, {}, "{}: there is no generated column {} any more",
                  described(scope.migration), Identifier(carried.object));
        const std::string expression =
            to_new ? rebound(as_before(scope), carried.definition, side, Names::soak,
                             object_of(carried.object), {relation, *attnum})
                   : carried.definition;
        check(zdm_generation_set(relation, *attnum, expression.c_str()));
    }

  private:
    // The scope and the expression have the names from before cutover. Raises where the expression
    // does not fit the new type.
    Carried carried_of(const CarryScope &scope, const Generation &generation) const {
        const bool may_differ = generation.has_rows && !scope.mapping.reverse_is_identity();
        const std::string counterpart =
            rebound(scope, generation.expression, Side::new_side, Names::before,
                    generation.object(), generation.position());
        Carried carried{name(),
                        generation.column,
                        "",
                        generation.expression,
                        counterpart,
                        true,
                        partition_of(scope, generation.relation),
                        generation.reads};
        if (may_differ) {
            if (!generation.is_virtual)
                carried.shadow = new_object_name(scope.migration.id, guard_name(carried));
            carried.shadow_definition =
                differing(scope, generation.column, generation.expression, counterpart);
            carried.timing = compared;
        }
        return carried;
    }

    // Empty where there is no such generated column any more.
    static std::optional<int> number_of(const CarryScope &scope, const Carried &carried) {
        const Rows rows = catalog(
            "SELECT attnum FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND "
            "attgenerated <> ''",
            {relation_of(scope, carried), carried.object});
        if (rows.empty()) return std::nullopt;
        return static_cast<int>(rows.integer(0, 0));
    }

    // What it would have been before cutover: as the table's own where it is like that now.
    static std::string before_cutover(const CarryScope &scope, const std::vector<Carried> &known,
                                      const Generation &generation, Side reads) {
        for (const auto &one : known)
            if (one.object == generation.column && one.related == 0 &&
                is_as_put_on(scope, one, generation))
                return one.definition;
        if (reads == Side::new_side) return turned(scope, generation, reads, Names::before);
        return rebound(scope, generation.expression, reads, Names::before, generation.object(),
                       generation.position());
    }

    static const Carried *find_among(const CarryScope &scope, const std::vector<Carried> &known,
                                     const Generation &generation) {
        return same_named(known, generation.column, partition_of(scope, generation.relation));
    }

    static bool is_as_put_on(const CarryScope &scope, const Carried &recorded,
                             const Generation &generation) {
        return gives_in_soak(scope, recorded.definition, generation.expression, generation.object(),
                             generation.position());
    }

    static bool is_guarded(const Carried &carried) { return !carried.shadow.empty(); }

    static std::string object_of(const std::string &column) {
        return fmt::format("generated column {}", Identifier(column));
    }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, guard_name(carried));
    }

    // For messages and for steps, which look again whether the partition is still there.
    static std::string table_of(const CarryScope &scope, const Carried &carried) {
        if (carried.related == 0) return scope.table;
        return quoted_relation(carried.related).value_or("a partition that is gone");
    }

    // In soak.
    static std::string differing_from_old(const CarryScope &scope, const Carried &carried) {
        const auto over = [&](Side side) {
            return rebound(as_before(scope), carried.definition, side, Names::soak,
                           object_of(carried.object));
        };
        return differing(scope, carried.object, over(Side::new_side), over(Side::old_side));
    }

    static Step guard(const CarryScope &scope, const Carried &carried, const std::string &index,
                      const std::string &condition) {
        Step step{0,
                  Phase::soak,
                  guard_generated_step,
                  index,
                  fmt::format("Have the server keep account of rows whose generated column {} "
                              "would differ",
                              Identifier(carried.object)),
                  fmt::format("CREATE INDEX CONCURRENTLY {} ON {} ((1)){}{}", Identifier(index),
                              table_of(scope, carried), where, condition),
                  "SHARE UPDATE EXCLUSIVE"};
        step.related = carried.related;
        return step;
    }

    // That a row's value, which one expression has given, is not, bit for bit, what the other would
    // give when it is assigned to the column. A cast cuts off what an assignment refuses.
    static std::string differing(const CarryScope &scope, const std::string &column,
                                 const std::string &present, const std::string &expression) {
        const Rows rows = catalog(
            R"(WITH RECURSIVE t AS (
                   SELECT a.atttypid AS oid, a.atttypmod AS typmod FROM pg_attribute a
                    WHERE a.attrelid = $1::oid AND a.attname = $2
                   UNION ALL
                   SELECT d.typbasetype, CASE WHEN d.typtypmod >= 0 THEN d.typtypmod ELSE t.typmod END
                     FROM t JOIN pg_type d ON d.oid = t.oid AND d.typtype = 'd')
               SELECT format_type(a.atttypid, a.atttypmod), a.attgenerated = 'v', format_type(b.oid, b.typmod),
                      CASE WHEN b.typmod >= 0
                           THEN CASE b.oid WHEN 1042 THEN 'bpchar' WHEN 1043 THEN 'varchar' WHEN 1560 THEN 'varbit' WHEN 1562 THEN 'varbit' END END
                 FROM t b JOIN pg_type p ON p.oid = b.oid AND p.typtype <> 'd'
                 JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attname = $2)",
            {scope.migration.relation, column});
        const std::string &type = rows.text(0, 0);
        const std::string value =
            rows.boolean(0, 1) ? fmt::format("({})::{}", present, type) : quote(Identifier(column));
        const std::string cut =
            fmt::format("ROW({})::record OPERATOR(pg_catalog.*=) ROW(({})::{})::record", value,
                        expression, type);
        if (!rows.null_text(0, 3)) return fmt::format("NOT ({})", cut);
        return fmt::format(
            "NOT ({} AND pg_catalog.length(({})::{}) IS NOT DISTINCT FROM "
            "pg_catalog.length(({})::{}))",
            cut, expression, rows.text(0, 3), expression, rows.text(0, 2));
    }
} const generated_carrier;

}  // namespace

std::string guard_name(const Carried &carried) {
    const std::string name = carried.object + "_generated";
    return carried.related == 0 ? name : fmt::format("{}_{}", name, carried.related);
}

void let_generated_read(const CarryScope &scope, Side stays) {
    if (!scope.is_paired()) return;
    const Side goes = stays == Side::new_side ? Side::old_side : Side::new_side;
    for (const auto &generation : generations(scope, names_of(scope, goes))) {
        if (!scope.mapping.reverse_is_identity())
            raise(sqlstate::unsupported, {},
                  "{}: generated column {} of {} reads {}, which is to be dropped; drop the "
                  "generated column or, of a partition, detach that, then SELECT zdm.resume({})",
                  described(scope.migration), Identifier(generation.column), generation.table,
                  fmt::join(names_of(scope, goes), ", "), Literal(scope.migration.name));
        const std::string expression =
            turned(scope, generation, goes, scope.soak_names ? Names::soak : Names::before);
        check(zdm_generation_set(generation.relation, generation.attnum, expression.c_str()));
    }
}

std::string condition_of_generated(const Step &step) {
    return step.sql.substr(step.sql.find(where) + where.size());
}

}  // namespace zdm
