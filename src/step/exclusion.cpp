// enforce_exclusion, validate_exclusion: an exclusion constraint that counts for new writes from a
// short lock on, and for every two rows after a scan that blocks nobody. Between the two nothing
// can slip through: the lock has waited for all writers, so whoever wrote before it is seen by the
// scan, and whoever writes after it is compared with all rows by the constraint itself.
#include "carry/exclusion.hpp"
#include "state/names.hpp"
#include "step/interruptible.hpp"
#include "step/lock.hpp"
#include "step/violation.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

bool stands(const CarryScope &scope, const std::string &name) {
    return !query("SELECT FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                  {scope.migration.relation, name})
                .empty();
}

// The constraint that the step is about: of the table, or of a partition.
Carried carried_of(const Migration &migration, const Step &step) {
    for (const auto &table : on_each_table(migration))
        for (const auto &carried : load_carried(table))
            if (carried.carrier == "exclusion" &&
                (carried.related != 0 ? carried.related : table.relation) == step.relation &&
                (carried.shadow == step.object ||
                 old_object_name(migration.id, carried.object) == step.object))
                return carried;
    raise(sqlstate::undefined_object, {}, "{}: nothing says what {} is about", described(migration),
          Identifier(step.object));
}

CarryScope scope_of(const Turn &turn) { return carry_scope(turn.migration, turn.mapping); }

class EnforceExclusion final : public StepKind {
  public:
    const char *name() const override { return enforce_exclusion_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const CarryScope scope = scope_of(turn);
            if (!stands(scope, step.object))
                make_exclusion(scope, carried_of(turn.migration, step), step.object);
            return Outcome::finished();
        });
    }
} const enforce_exclusion;

// As record_violations() wants them: rows that exclude another one, by the keys of the index and
// the operators of those names. Nested loops over the index, or whatever else the planner finds.
std::string offenders(const CarryScope &scope, const std::string &index, const Carried &carried) {
    const Rows keys = query(
        R"(SELECT pg_get_indexdef(i.indexrelid, o.n::integer, false), format('OPERATOR(%I.%s)', s.nspname, p.oprname),
                  coalesce(' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '')
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
            CROSS JOIN unnest(string_to_array($3, ' ')::oid[]) WITH ORDINALITY AS o(oid, n)
             JOIN pg_operator p ON p.oid = o.oid JOIN pg_namespace s ON s.oid = p.oprnamespace
            WHERE i.indrelid = $1::oid AND c.relname = $2 ORDER BY o.n)",
        {scope.migration.relation, index,
         fmt::format("{}", fmt::join(exclusion_operators(carried), " "))});
    if (keys.empty())
        raise(sqlstate::undefined_object, {}, "{}: there is no index {} any more",
              described(scope.migration), Identifier(index));
    std::vector<std::string> columns, conditions;
    for (size_t row = 0; row < keys.size(); ++row) {
        columns.push_back(fmt::format("({}) AS k{}", keys.text(row, 0), row));
        conditions.push_back(fmt::format("a.k{0} {1} b.k{0}", row, keys.text(row, 1)));
    }
    const std::string rows = fmt::format(
        "(SELECT tableoid::oid AS relation, {} AS key, ctid AS place, {} FROM {}{})",
        row_key(scope.migration.relation), fmt::join(columns, ", "), scope.table, keys.text(0, 2));
    return fmt::format(
        "SELECT a.relation, a.key, b.key::text AS value FROM {0} AS a JOIN {0} AS b ON {1} AND "
        "a.place < b.place",
        rows, fmt::join(conditions, " AND "));
}

class ValidateExclusion final : public StepKind {
  public:
    const char *name() const override { return validate_exclusion_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        Carried carried;
        const Violations found = interruptible(turn, [&] {
            Violations violations;
            in_turn(turn, [&] {
                carried = carried_of(turn.migration, step);
                violations = record_violations(turn, turn.migration.relation,
                                               offenders(scope_of(turn), step.object, carried),
                                               "no row that it excludes");
                if (violations.count == 0) set_step_state(turn.migration, step, "done");
            });
            return violations;
        });
        if (found.count == 0) return Outcome::finished();
        if (step.phase == Phase::soak) {
            const Outcome withdrawn = withdraw(turn, step);
            if (!withdrawn.is_done()) return withdrawn;
        }
        raise_found(turn.migration, carried, found);
    }

  private:
    // It must not fail the application's writes while somebody mends the rows. Before a cutover its
    // steps begin anew, with the index.
    static Outcome withdraw(Turn &turn, const Step &step) {
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                                  scope_of(turn).table, Identifier(step.object)));
                if (!turn.migration.soaking())
                    reset_steps_from(turn.migration,
                                     ordinal_of(turn.migration, "create_index", step.object));
                return Outcome::finished();
            },
            turn.migration.soaking() ? "done" : step.state);
    }

    [[noreturn]] static void raise_found(const Migration &migration, const Carried &carried,
                                         const Violations &found) {
        raise(sqlstate::discrepancies, {},
              "{}: {} exclude{} another one by constraint {} over the {} column (SELECT * FROM "
              "zdm.discrepancy WHERE name = {}; actual_value is the other); correct them, then "
              "SELECT zdm.resume({})",
              described(migration), found.in_words(), found.count == 1 ? "s" : "",
              Identifier(carried.object), migration.soaking() ? "old" : "new",
              Literal(migration.name), Literal(migration.name));
    }
} const validate_exclusion;

}  // namespace
}  // namespace zdm
