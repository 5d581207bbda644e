// create_materialized_view, refresh, drop_materialized_view: the counterparts of materialized
// views. Created without data under the lock of the tables, because for that moment the new columns
// have the old ones' names; filled with no lock on them that anybody waits for.
#include <algorithm>

#include "carry/borrowed_names.hpp"
#include "carry/view_graph.hpp"
#include "step/lock.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr char separator = '\x01';

bool exists(const std::string &view) {
    return query("SELECT to_regclass($1) IS NOT NULL", {view}).boolean(0, 0);
}

Outcome drop(Turn &turn, const Step &step, const std::string &final_state) {
    LockRequest request;
    request.final_state = final_state;
    in_turn(turn, [&] {
        const Rows rows = query("SELECT to_regclass($1)::oid", {step.object});
        if (rows.null_text(0, 0))
            request.relations = {rows.oid(0, 0)};
        else
            set_step_state(turn.migration, step, final_state);
    });
    if (request.relations.empty()) return Outcome::finished();
    return under_lock_on(turn, step, request, [&] {
        const Rows rows =
            query("SELECT relowner FROM pg_class WHERE oid = to_regclass($1)", {step.object});
        if (rows.empty()) return Outcome::finished();
        OwnerScope as_owner(rows.oid(0, 0));
        query(fmt::format("DROP MATERIALIZED VIEW {}", step.object));
        return Outcome::finished();
    });
}

std::vector<uint32_t> all_tables(Turn &turn) {
    std::vector<uint32_t> tables;
    in_turn(turn, [&] {
        for (const auto &seen : on_each_table(turn.migration)) tables.push_back(seen.relation);
        tables = with_partitions(tables);
    });
    return tables;
}

// What is to be created, as the survey has recorded it.
Carried recorded(const Migration &migration, const Step &step) {
    for (const auto &carried : load_carried(migration))
        if (carried.shadow == step.object) return carried;
    raise(sqlstate::undefined_object, {}, "{}: nothing says what {} is to be", described(migration),
          step.object);
}

void create(const Migration &migration, const Carried &carried) {
    const auto scopes = scopes_of(migration);
    std::vector<const CarryScope *> pointers;
    for (const auto &scope : scopes) pointers.push_back(&scope);
    const auto owner =
        static_cast<uint32_t>(std::stoul(split(carried.definition, separator).at(0)));
    const auto statements = split(carried.shadow_definition, separator);
    with_borrowed_names(pointers, Side::new_side, [&] {
        OwnerScope as_owner(owner);
        create_exchanged(statements.at(0), carried.columns.substr(0, carried.columns.find('/')));
        for (size_t i = 1; i < statements.size(); ++i)
            if (statements[i].rfind("acl ", 0) != 0) query(statements[i]);
    });
    const uint32_t view = query("SELECT to_regclass($1)::oid", {carried.shadow}).oid(0, 0);
    check(zdm_relation_set_acl(view, 0, nullptr));
    for (const auto &statement : statements) {
        if (statement.rfind("acl ", 0) != 0) continue;
        const size_t space = statement.find(' ', 4);
        check(zdm_relation_set_acl(view, std::stoi(statement.substr(4)),
                                   statement.c_str() + space + 1));
    }
}

class CreateMaterializedView final : public StepKind {
  public:
    const char *name() const override { return "create_materialized_view"; }

    Outcome run(Turn &turn, const Step &step) const override {
        LockRequest request;
        request.relations = all_tables(turn);
        return under_lock_on(turn, step, request, [&] {
            if (!exists(step.object)) create(turn.migration, recorded(turn.migration, step));
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override { return drop(turn, step, "undone"); }
} const create_materialized_view;

class Refresh final : public StepKind {
  public:
    const char *name() const override { return "refresh"; }

    Outcome run(Turn &turn, const Step &step) const override {
        run_utility_on(turn, all_tables(turn), ZDM_ACCESS_SHARE, step.sql);
        run_utility(fmt::format("ANALYZE {}", step.object));
        in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
        return Outcome::finished();
    }
} const refresh;

class DropMaterializedView final : public StepKind {
  public:
    const char *name() const override { return "drop_materialized_view"; }

    Outcome run(Turn &turn, const Step &step) const override { return drop(turn, step, "done"); }
} const drop_materialized_view;

}  // namespace
}  // namespace zdm
