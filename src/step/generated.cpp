// compare_generated, guard_generated: rows whose generated column is not what the other side's
// expression would give. The first reads the table once, beside the writes; the second builds the
// partial index that keeps account of such rows until the swap. It is dropped again where there are
// some: it evaluates the expression for the application's writes, and there will be no swap.
#include "carry/generated.hpp"
#include "state/index.hpp"
#include "state/names.hpp"
#include "step/interruptible.hpp"
#include "step/lock.hpp"
#include "step/partition.hpp"
#include "step/pass.hpp"
#include "step/present_name.hpp"
#include "step/utility.hpp"
#include "step/violation.hpp"

#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// The generated column that the step is about; empty where it was dropped in soak.
std::optional<Carried> find_carried_of(const Migration &migration, const Step &step) {
    for (const auto &carried : load_carried(migration))
        if (carried.carrier == "generated" && carried.related == step.related &&
            (carried.object == step.object || carried.shadow == step.object ||
             old_object_name(migration.id, guard_name(carried)) == step.object))
            return carried;
    return std::nullopt;
}

Carried carried_of(const Migration &migration, const Step &step) {
    auto carried = find_carried_of(migration, step);
    if (!carried)
        raise(sqlstate::undefined_object, {}, "{}: nothing says what {} is about",
              described(migration), Identifier(step.object));
    return std::move(*carried);
}

// The column, or the partition that it is on, may have been dropped or detached; then nothing of it
// is exchanged.
bool is_there(Turn &turn, const Step &step) {
    bool there = false;
    in_turn(turn, [&] {
        there = find_carried_of(turn.migration, step) && is_still_part(turn, step);
        if (!there) set_step_state(turn.migration, step, "done");
    });
    return there;
}

// Another migration that is between the call of its cutover, or revert, and the swap, and exchanges
// the same expression: each would find the other's guard on its columns.
std::optional<std::string> guarded_by_another(const Turn &turn, const Step &step) {
    const std::string guard = guard_name(carried_of(turn.migration, step));
    for (const auto &other : unfinished_migrations())
        if (other.id != turn.migration.id)
            for (const auto &name :
                 {new_object_name(other.id, guard), old_object_name(other.id, guard)})
                if (find_index(table_of(turn, step), name)) return other.name;
    return std::nullopt;
}

Violations differing_rows(Turn &turn, const Step &step, const Carried &carried) {
    const uint32_t table = table_of(turn, step);
    query("SET LOCAL enable_seqscan = off");
    return record_violations(
        turn, table,
        fmt::format(
            "SELECT tableoid::oid AS relation, {} AS key, {}::text AS value FROM {} WHERE {}",
            row_key(table), Identifier(carried.object), quoted_relation(table).value(),
            condition_of_generated(step)),
        "what the expression gives over the other column");
}

[[noreturn]] void raise_differing(const Turn &turn, const Carried &carried,
                                  const Violations &differing) {
    const auto &migration = turn.migration;
    const Literal name(migration.name);
    raise(sqlstate::discrepancies, {},
          "{}: generated column {} would have another value in {} when it is computed from the {} "
          "column, and no value changes in silence; correct the rows (SELECT * FROM "
          "zdm.discrepancy WHERE name = {}) and SELECT zdm.resume({}), or {}",
          described(migration), Identifier(carried.object), differing.in_words(),
          migration.soaking() ? "old" : "new", name, name,
          migration.soaking()
              ? fmt::format("SELECT zdm.contract({})", name)
              : fmt::format("SELECT zdm.abort({}) and drop the generated column first", name));
}

class CompareGenerated final : public StepKind {
  public:
    const char *name() const override { return compare_generated_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        if (!is_there(turn, step)) return Outcome::finished();
        return interruptible(turn, [&] {
            Violations differing;
            Carried carried;
            in_turn(turn, [&] {
                carried = carried_of(turn.migration, step);
                differing = differing_rows(turn, step, carried);
                if (differing.count == 0) set_step_state(turn.migration, step, "done");
            });
            if (differing.count > 0) raise_differing(turn, carried, differing);
            return Outcome::finished();
        });
    }
} const compare_generated;

class GuardGenerated final : public StepKind {
  public:
    const char *name() const override { return guard_generated_step; }

    Outcome run(Turn &turn, const Step &step) const override {
        if (!is_there(turn, step)) return Outcome::finished();
        std::optional<std::string> other;
        in_turn(turn, [&] { other = guarded_by_another(turn, step); });
        if (other)
            return Outcome::wait(fmt::format("waits for migration \"{}\", which exchanges a "
                                             "generated column that both read first",
                                             *other),
                                 retry_pause_ms(step.attempts));
        // Finds out itself whether the index is there; says of this step that it is done.
        Step index = step;
        index.kind = "create_index";
        Turn at_table = turn;
        in_turn(turn, [&] {
            at_table.migration = on_table(turn.migration, step.related);
            index.sql = under_present_name(index, at_table.migration.relation);
        });
        const Outcome built = StepKind::find("create_index").run(at_table, index);
        if (!built.is_done()) return built;
        Violations differing;
        Carried carried;
        std::optional<Index> guard;
        in_turn(turn, [&] {
            carried = carried_of(turn.migration, step);
            differing = differing_rows(turn, step, carried);
            guard = find_index(table_of(turn, step), step.object);
        });
        if (differing.count == 0) return built;
        if (guard) drop_index_concurrently(turn, *guard);
        raise_differing(turn, carried, differing);
    }
} const guard_generated;

}  // namespace
}  // namespace zdm
