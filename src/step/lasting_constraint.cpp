// impose_constraint, prove_constraint, require_not_null, adopt_index: a constraint that is asked
// for and stays.
//
// Imposed NOT VALID under a short lock, so that no new row breaks it; then every row is read,
// behind a lock that blocks nobody. Where a row breaks it the constraint is taken off again at once
// (later writes of such rows would fail for a constraint that nobody has yet), the rows are written
// to zdm.discrepancy, and the migration has failed until somebody mends them and resumes.
#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "state/names.hpp"
#include "step/lock.hpp"
#include "step/pass.hpp"
#include "step/public_text.hpp"
#include "step/violation.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

struct Constraint {
    bool valid = false;
    char type = 'c';
    std::string condition;
    bool match_full = false;
    std::vector<std::string> columns, referenced_columns, operators;  // quoted
    uint32_t referenced = 0;
};

std::optional<Constraint> find_constraint(uint32_t relation, const std::string &name) {
    const Rows rows = query(
        R"(SELECT k.convalidated, k.contype, pg_get_expr(k.conbin, k.conrelid), k.confmatchtype = 'f', k.confrelid,
                  array_to_string(ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.conkey) WITH ORDINALITY AS u(n, i)
                                          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.i), E'\x01'),
                  array_to_string(ARRAY(SELECT quote_ident(a.attname) FROM unnest(k.confkey) WITH ORDINALITY AS u(n, i)
                                          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.i), E'\x01'),
                  array_to_string(ARRAY(SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
                                          FROM unnest(k.conpfeqop) WITH ORDINALITY AS u(oid, i)
                                          JOIN pg_operator o ON o.oid = u.oid JOIN pg_namespace n ON n.oid = o.oprnamespace
                                         ORDER BY u.i), E'\x01')
             FROM pg_constraint k WHERE k.conrelid = $1::oid AND k.conname = $2)",
        {relation, name});
    if (rows.empty()) return std::nullopt;
    Constraint found;
    found.valid = rows.boolean(0, 0);
    found.type = rows.text(0, 1)[0];
    found.condition = rows.text(0, 2);
    found.match_full = rows.boolean(0, 3);
    found.referenced = rows.oid(0, 4);
    found.columns = split(rows.text(0, 5), '\x01');
    found.referenced_columns = split(rows.text(0, 6), '\x01');
    found.operators = split(rows.text(0, 7), '\x01');
    return found;
}

std::string joined(const std::vector<std::string> &parts, const char *before, const char *after,
                   const char *between) {
    std::vector<std::string> whole;
    for (const auto &part : parts) whole.push_back(before + part + after);
    return fmt::format("{}", fmt::join(whole, between));
}

// The rows that break it, as record_violations() wants them.
std::string offenders(uint32_t relation, const Constraint &constraint) {
    const std::string table = *quoted_relation(relation);
    if (constraint.type == 'c')
        return fmt::format(
            "SELECT tableoid::oid AS relation, {} AS key, ROW({})::text AS value FROM {} WHERE "
            "({}) IS FALSE",
            row_key(relation), fmt::join(constraint.columns, ", "), table, constraint.condition);
    std::vector<std::string> equal;
    for (size_t i = 0; i < constraint.columns.size(); ++i)
        equal.push_back(fmt::format("pk.{} {} fk.{}", constraint.referenced_columns[i],
                                    constraint.operators[i], constraint.columns[i]));
    // MATCH FULL: all or none are NULL; else a NULL among them refers to nothing.
    const std::string refers =
        constraint.match_full
            ? fmt::format("NOT ({})", joined(constraint.columns, "fk.", " IS NULL", " AND "))
            : joined(constraint.columns, "fk.", " IS NOT NULL", " AND ");
    return fmt::format(
        R"(SELECT fk.tableoid::oid AS relation, {} AS key, ROW({})::text AS value
             FROM {} AS fk WHERE {} AND NOT EXISTS (SELECT FROM {} AS pk WHERE {}))",
        row_key(relation, "fk."), joined(constraint.columns, "fk.", "", ", "), table, refers,
        quoted_relation(constraint.referenced).value_or(""), fmt::join(equal, " AND "));
}

// The statement of a step, for the table under its name of now: it may have been renamed since.
std::string present(const Turn &turn, const std::string &statement, const char *verb) {
    return fmt::format("ALTER TABLE {}{}", *quoted_relation(turn.migration.relation),
                       statement.substr(statement.find(verb)));
}

class ImposeConstraint final : public StepKind {
  public:
    const char *name() const override { return "impose_constraint"; }

    Outcome run(Turn &turn, const Step &step) const override {
        // A foreign key's lock lets readers of both tables pass.
        const int mode = step.related != 0 ? ZDM_SHARE_ROW_EXCLUSIVE : ZDM_ACCESS_EXCLUSIVE;
        return under_lock(turn, step, mode, [&] {
            enter_phase(turn, Phase::build);
            resolve_discrepancies(turn.migration);
            query(present(turn, step.sql, " ADD CONSTRAINT "));
            return Outcome::finished();
        });
    }

    // It is there if and only if the step is done: both were committed together.
    Outcome undo(Turn &turn, const Step &step) const override {
        bool imposed = false;
        in_turn(turn, [&] {
            resolve_discrepancies(turn.migration);
            imposed =
                step.done() && find_constraint(turn.migration.relation, step.object).has_value();
        });
        if (!imposed) return Outcome::finished();
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                                  *quoted_relation(turn.migration.relation),
                                  Identifier(step.object)));
                return Outcome::finished();
            },
            "undone");
    }
} const impose_constraint;

class ProveConstraint final : public StepKind {
  public:
    const char *name() const override { return "prove_constraint"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Constraint> constraint;
        int imposed_by = 0;  // 0: it was there before, and stays whatever we find
        bool known_broken = false;
        in_turn(turn, [&] {
            enter_phase(turn, Phase::build);
            constraint = find_constraint(turn.migration.relation, step.object);
            imposed_by = ordinal_of(turn.migration, "impose_constraint", step.object);
            known_broken = imposed_by != 0 && !open_discrepancies(turn.migration).empty();
        });
        if (!constraint && imposed_by != 0)
            return Outcome::back_to(imposed_by, "the constraint was dropped by somebody");
        if (!constraint) raise_dropped(turn, step);
        // Broken, and only the lock to take it off was missing.
        if (known_broken) return give_up(turn, step, *constraint, imposed_by, "");
        try {
            return prove(turn, step, *constraint);
        } catch (Error &error) {
            if (passes(error.sqlstate())) throw;
            if (error.sqlstate() != "23514" && error.sqlstate() != "23503")
                return give_up(turn, step, *constraint, imposed_by,
                               public_text(turn.migration, error));
            std::string instead;
            in_turn(turn, [&] { instead = list_offenders(turn, *constraint); });
            return give_up(turn, step, *constraint, imposed_by, instead);
        }
    }

  private:
    static bool passes(const std::string &code) {
        const std::string code_class = code.substr(0, 2);
        return code_class == "40" || code_class == "53" || code_class == "55" ||
               code_class == "57" || code_class == "58";
    }

    static Outcome prove(Turn &turn, const Step &step, const Constraint &constraint) {
        if (!constraint.valid) note_every_row_read(turn, step.object);
        LockRequest request;
        in_turn(turn, [&] { request.relations = with_partitions({turn.migration.relation}); });
        request.mode = ZDM_SHARE_UPDATE_EXCLUSIVE;
        request.takes_long = true;
        request.referenced = constraint.referenced;
        return under_lock_on(turn, step, request, [&] {
            if (!constraint.valid)
                evaluate(present(turn, step.sql, " VALIDATE CONSTRAINT "),
                         turn.migration.evaluation);
            resolve_discrepancies(turn.migration);
            return Outcome::finished();
        });
    }

    // The owner need not be allowed to read the table that a key refers to, nor to see every row of
    // its own (FORCE ROW LEVEL SECURITY); the server's check sees all. Returns what there is to say
    // instead of the rows.
    static std::string list_offenders(Turn &turn, const Constraint &constraint) {
        Violations found;
        const auto refused = attempt({"42501", sqlstate::lock_not_available}, [&] {
            const std::string other =
                quoted_relation(constraint.referenced).value_or("the other table");
            found = record_violations(
                turn, turn.migration.relation, offenders(turn.migration.relation, constraint),
                constraint.type == 'c' ? constraint.condition : fmt::format("a row of {}", other));
        });
        if (refused)
            return fmt::format("rows break it, but {}{}",
                               refused->sqlstate() == "42501" ? "" : "their list ",
                               public_text(turn.migration, *refused));
        return found.count > 0 ? ""
                               : "a row breaks it which is gone by now, or is hidden from the "
                                 "table's owner by row level security";
    }

    static Outcome give_up(Turn &turn, const Step &step, const Constraint &constraint,
                           int imposed_by, const std::string &why) {
        if (imposed_by != 0) {
            const auto outcome = under_lock(
                turn, step, ZDM_ACCESS_EXCLUSIVE,
                [&] {
                    query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                                      *quoted_relation(turn.migration.relation),
                                      Identifier(step.object)));
                    reset_steps_from(turn.migration, imposed_by);
                    return Outcome::finished();
                },
                "pending");
            if (!outcome.is_done()) return outcome;
        }
        Violations found;
        in_turn(turn, [&] { found = recorded_violations(turn); });
        const Literal name(turn.migration.name);
        const std::string broken =
            quote(Identifier(step.object)) +
            (constraint.type == 'c' ? fmt::format(" CHECK ({})", constraint.condition) : "");
        const std::string fate =
            imposed_by != 0 ? "it was taken off again" : "it stays NOT VALID, as it was";
        if (found.count == 0)
            raise("23514", {},
                  "{}: constraint {} cannot be checked: {}; {}; mend that and SELECT "
                  "zdm.resume({})",
                  described(turn.migration), Identifier(step.object), why, fate, name);
        raise("23514", {},
              "{}: {} break{} constraint {}, so {}; correct them (SELECT * FROM zdm.discrepancy "
              "WHERE name = {}), then SELECT zdm.resume({})",
              described(turn.migration), found.in_words(), found.count == 1 ? "s" : "", broken,
              fate, name, name);
    }

    [[noreturn]] static void raise_dropped(const Turn &turn, const Step &step) {
        raise(sqlstate::undefined_object, {},
              "{}: constraint {} was dropped by somebody; SELECT zdm.abort({}) and start again",
              described(turn.migration), Identifier(step.object), Literal(turn.migration.name));
    }
} const prove_constraint;

// SET NOT NULL finds its proof, a valid CHECK, and reads no row; then the proof goes.
class RequireNotNull final : public StepKind {
  public:
    const char *name() const override { return "require_not_null"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            query(present(turn, step.sql, " ALTER COLUMN "));
            query(fmt::format(
                "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}",
                *quoted_relation(turn.migration.relation),
                Identifier(new_object_name(turn.migration.id, step.object + "_not_null"))));
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        bool there = false;
        in_turn(turn, [&] {
            there = step.done() && quoted_relation(turn.migration.relation).has_value();
        });
        if (!there) return Outcome::finished();
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                query(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                                  *quoted_relation(turn.migration.relation),
                                  Identifier(step.object)));
                return Outcome::finished();
            },
            "undone");
    }
} const require_not_null;

// The index becomes the constraint, and takes its name.
class AdoptIndex final : public StepKind {
  public:
    const char *name() const override { return "adopt_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        int built_by = 0;
        bool built = false;
        in_turn(turn, [&] {
            const std::string shadow = new_object_name(turn.migration.id, step.object);
            const auto index = find_index(turn.migration.relation, shadow);
            built = index && index->valid;
            built_by = ordinal_of(turn.migration, "build_index", shadow);
        });
        if (built_by != 0 && !built)
            return Outcome::back_to(built_by, "the index was dropped by somebody");
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            query(present(turn, step.sql, " ADD CONSTRAINT "));
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const adopt_index;

}  // namespace
}  // namespace zdm
