// How fast a pass over a table may go: from the signals to a share of time (duty).
//
// Two loops. What follows at once from our own share of time (foreground) gives a ceiling, which
// experience (latency) corrects. All other signals are budgets that answer late: the share is
// halved while one is over its limit, held near it, and grows again when all are well below (as
// congestion control does). At a hard limit the pass stops, and begins again slowly.
//
// zdm.pace = full or a number takes the place of both loops; hard limits and zdm.max_wal_rate hold
// always.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "pace/latency_windows.hpp"
#include "pace/signal.hpp"
#include "pace/throttle_log.hpp"
#include "pace/wal_budget.hpp"

namespace zdm {

// What is being worked on.
struct Task {
    uint32_t relation = 0;
    std::string relation_name;
    double remaining_bytes = 0;  // that a backfill will still write anew
    int processes = 1;           // that are at work on it, this one included
};

// One box of work.
struct Box {
    int64_t rows = 0;
    bool waited_for = false;  // somebody waited for a row of ours
};

class Pacer {
  public:
    Pacer();

    // A process that goes on where another one has ended: what that one had stopped for holds until
    // it has been measured again. Before the first look.
    bool is_new() const { return looked_ms_ == 0; }
    void inherit(const Throttle &stopped);

    // Whether it is time to look again, and the look, in a transaction.
    bool is_due(double now_ms) const;
    void look(const Task &task, const Settings &settings);

    // Set: nothing may be done at present, because of this.
    const std::optional<Throttle> &stopped() const { return stopped_; }

    // Whether any session has been at work lately.
    bool beside_others() const;
    // Where a box's work begins: now, in ms.
    double begin_box(const Settings &settings);
    // Where it has ended: how long it took, in ms. What comes before the pause is no work of it.
    double end_box();
    // How long it should take, in ms; and one that cannot rest in between (hot/breath.hpp): short
    // boxes harm less than long ones with longer pauses.
    double box_ms(const Settings &settings) const;
    double unbroken_box_ms(const Settings &settings) const;
    // After it: how long to pause, in ms.
    double pause_ms(const Settings &settings, const Box &box);
    // Many times a second, while it does not work itself.
    void note_running();

    // What holds the pass back at present.
    Throttle throttle(const Settings &settings) const;
    const std::string &unreadable() const { return unreadable_; }  // signals, in words; "" = none
    double duty(const Settings &settings) const;
    ThrottleLog &log() { return log_; }

  private:
    void measure_all(const Scene &scene);
    void decide(double now_ms);
    double duty_of_all(const Settings &settings) const;

    struct Gauge {
        History history;
        std::optional<Reading> reading;
        std::string error;
    };
    std::map<std::string, Gauge> gauges_;  // by signal
    double looked_ms_ = 0;

    double budget_duty_;
    double halved_ms_ = 0;
    Throttle slowed_by_;  // the signal that has halved the duty last
    double ceiling_ = 1;
    bool correction_is_settled_ = false;
    Throttle ceiling_by_;
    std::optional<Throttle> stopped_;
    bool stands_by_ = false;  // stopped_ is inherited
    double inherited_ms_ = 0;
    std::string unreadable_;

    double running_ = 0;
    double running_at_ms_ = 0;
    WalBudget wal_;
    LatencyWindows latency_;
    void measure_latency(const Settings &settings, double now_ms);
    void note_box(const Box &box, double now_ms);
    double box_began_ms_ = 0;
    double worked_ms_ = 0;    // in the last box
    double owed_ms_ = 0;      // of rest, for it
    double row_work_ms_ = 0;  // since the last mean was taken
    int64_t row_count_ = 0;
    double us_per_row_ = 0;
    uint32_t measured_relation_ = 0;
    int processes_ = 1;  // see Task
    double row_waits_ = 0;
    double box_at_ms_ = 0;
    ThrottleLog log_;
};

}  // namespace zdm
