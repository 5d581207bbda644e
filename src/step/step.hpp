// One kind of step: what the plan is made of. Add one: write src/step/<kind>.cpp with a subclass
// and one static instance of it.
//
// run and undo work in short transactions of their own and may be called again at any time: after a
// crash, after a failure, or because they asked for it. Each finds out from the catalogs what is
// already so. The last transaction of a run also records that the step is done, so the two cannot
// disagree.
#pragma once

#include <cstdint>
#include <string>

#include "core/transaction.hpp"
#include "core/user.hpp"
#include "pace/pacer.hpp"
#include "state/mapping.hpp"
#include "state/migration.hpp"
#include "state/settings.hpp"
#include "state/step.hpp"

namespace zdm {

struct Outcome {
    enum class Kind {
        done,     // the step is finished (run) or undone (undo)
        again,    // more to do: call again, other migrations first
        waiting,  // cannot go on now: reason says why; call again after pause_ms
        replan,   // the world has changed: go back to the step with ordinal replan_from
    };
    Kind kind = Kind::done;
    std::string reason;
    int64_t pause_ms = 0;
    int replan_from = 0;
    bool midway = false;  // of waiting: the step has begun and goes on where it is

    static Outcome finished() { return {}; }
    static Outcome more() { return {Kind::again, "", 0, 0, false}; }
    static Outcome wait(std::string reason, int64_t pause_ms) {
        return {Kind::waiting, std::move(reason), pause_ms, 0, false};
    }
    static Outcome stand(std::string reason, int64_t pause_ms) {
        return {Kind::waiting, std::move(reason), pause_ms, 0, true};
    }
    static Outcome back_to(int ordinal, std::string reason) {
        return {Kind::replan, std::move(reason), 0, ordinal, false};
    }
    bool is_done() const { return kind == Kind::done; }
};

// What a step works with: one migration as it was when the turn began, as the step's table sees it
// (on_table), and that table's mapping. A step for all tables looks at each itself.
struct Turn {
    Migration migration;
    Mapping mapping;
    Settings settings;
    bool alone = true;  // no other migration of this database has work
    Pacer &pacer;
    bool helps = false;  // a helper's: it works on a range, and says nothing about the migration
    double worker_seen_ms = 0;  // by a helper
    int processes = 1;  // that are at work on this step, this one included: they share its budgets

    // Reads the migration anew, in the caller's transaction. False: its target, state or settings
    // were changed by somebody, so the step should return and let the worker decide.
    bool refresh();
};

// One transaction in which zdm's tables are at hand and the migration's settings apply. Whatever it
// does, it queues for no lock for long: a worker that stands in a queue says nothing and hears
// nothing.
constexpr const char *longest_queueing = "1s";

template <typename Body>
void in_turn(Turn &turn, Body &&body) {
    in_transaction([&] {
        turn.settings = apply_settings(turn.migration);
        check(zdm_setting_override("lock_timeout", longest_queueing, true));
        body();
    });
}

class StepKind {
  public:
    virtual const char *name() const = 0;
    virtual Outcome run(Turn &turn, const Step &step) const = 0;

    // Takes back what run did. Most steps leave nothing that the step before them does not take
    // along.
    virtual Outcome undo(Turn &turn, const Step &step) const;

    static const StepKind &find(const std::string &name);

  protected:
    StepKind() noexcept : next_(first_) { first_ = this; }
    ~StepKind() = default;

  private:
    const StepKind *next_;
    static const StepKind *first_;  // constant-initialised: safe before any constructor runs
};

// What will pass by itself: try again later instead of giving up.
bool passes_by_itself(const std::string &sqlstate);
// Neither that nor an interruption.
bool is_for_good(const Error &error);

// Notes, in the caller's transaction, that the migration has reached the phase of its step; a phase
// that lies behind is left alone.
void enter_phase(Turn &turn, Phase phase);

// Ordinal of the first step of that kind, for going back to it.
int ordinal_of(const Migration &migration, const std::string &kind);
// The same, of the step that works on that object; 0 where there is none.
int ordinal_of(const Migration &migration, const std::string &kind, const std::string &object);

}  // namespace zdm
