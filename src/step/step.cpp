#include "step/step.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

const StepKind *StepKind::first_ = nullptr;

const StepKind &StepKind::find(const std::string &name) {
    for (const StepKind *kind = first_; kind != nullptr; kind = kind->next_)
        if (name == kind->name()) return *kind;
    raise(sqlstate::undefined_object, {}, "zdm: this version knows no step \"{}\"", name);
}

Outcome StepKind::undo(Turn &, const Step &) const { return Outcome::finished(); }

bool Turn::refresh() {
    const auto now = load_migration(migration.id);
    const bool same = now && now->target == migration.target &&
                      now->settings == migration.settings &&
                      (now->state == "running" || now->state == "waiting");
    if (now) {
        const Migration before = migration;
        migration = *now;
        migration.relation = before.relation;
        migration.relation_name = before.relation_name;
        migration.owner = before.owner;
    }
    return same;
}

bool passes_by_itself(const std::string &sqlstate) {
    const std::string code_class = sqlstate.substr(0, 2);
    return code_class == "53" || code_class == "40" || code_class == "58" || sqlstate == "55P03" ||
           sqlstate == "57014" || sqlstate == "55006";
}

bool is_for_good(const Error &error) {
    return !passes_by_itself(error.sqlstate()) && !error.is_interruption();
}

int ordinal_of(const Migration &migration, const std::string &kind) {
    for (const auto &step : load_steps(migration.id))
        if (step.kind == kind) return step.ordinal;
    raise(sqlstate::undefined_object, {}, "{} has no step {}", described(migration), kind);
}

int ordinal_of(const Migration &migration, const std::string &kind, const std::string &object) {
    for (const auto &step : load_steps(migration.id))
        if (step.kind == kind && step.object == object) return step.ordinal;
    return 0;
}

void enter_phase(Turn &turn, Phase phase) {
    if (turn.migration.phase >= phase) return;
    set_phase(turn.migration, phase);
    turn.migration.phase = phase;
}

}  // namespace zdm
