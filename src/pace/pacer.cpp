#include "pace/pacer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/transaction.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr double tick_ms = 100;
constexpr double lowest_duty = 0.01;
constexpr double first_duty = 0.5;
constexpr double duty_after_stop = 0.05;
// After a crash a standby needs a moment to connect again; without one there is no lag to be seen.
constexpr double until_measured_ms = 10000;

// The band in which the share stays as it is, so that it does not swing.
constexpr double grow_below = 0.5;
constexpr double grow_by = 1.1;
constexpr double shrink_above = 0.8;
constexpr double shrink_by = 0.95;
// Signals answer late: wait for the answer before halving again.
constexpr double between_halvings_ms = 1000;

// Fewer sessions than this, in the mean of a second.
constexpr double nobody_at_work = 0.05;

// A box costs a transaction; shorter ones are mostly that.
constexpr double shortest_box_ms = 2;
// Alone on the server a longer one saves work (the movers' index entries in larger sorted lots),
// and harms nobody. Beside others it does: whoever comes for one of its rows waits until its
// movers' index entries are made. Another worker as well: it cannot use the room of what it has
// killed before ours are over (a million rows by two workers: 2.8 s instead of 2.4).
constexpr double longer_when_alone = 4;

constexpr double longest_pause_ms = 10000;
constexpr double running_mean_ms = 1000;
constexpr double row_waits_mean_ms = 2000;

// A mean over less says nothing about a row.
constexpr double least_row_work_ms = 200;
constexpr int64_t least_row_count = 2000;

// Why a measurement may fail although the server is well: no right, no such file, another version.
const std::vector<std::string> unreadable_for = {"42501", "42883", "42P01", "42703", "55000",
                                                 "58P01", "58030", "58000", "22P02", "XX000"};

// Empty: feedback decides.
std::optional<double> fixed_duty(const Settings &settings) {
    const char first = settings.pace.empty() ? 'a' : settings.pace[0];
    if (first == 'a' || first == 'A') return std::nullopt;
    if (first == 'f' || first == 'F') return 1;
    return std::strtod(settings.pace.c_str(), nullptr);
}

}  // namespace

Pacer::Pacer() : budget_duty_(first_duty) {}

bool Pacer::is_due(double now_ms) const { return now_ms - looked_ms_ >= tick_ms; }

void Pacer::inherit(const Throttle &stopped) {
    stopped_ = stopped;
    stands_by_ = true;
    inherited_ms_ = zdm_now_ms();
    budget_duty_ = duty_after_stop;
}

void Pacer::look(const Task &task, const Settings &settings) {
    note_running();
    const double now_ms = zdm_now_ms();
    if (task.relation != measured_relation_) us_per_row_ = row_work_ms_ = row_count_ = 0;
    measured_relation_ = task.relation;
    processes_ = task.processes;
    measure_latency(settings, now_ms);
    measure_all({now_ms, task.relation, task.relation_name, settings.limits, running_, zdm_cores(),
                 task.remaining_bytes, us_per_row_, row_waits_, duty_of_all(settings), ceiling_,
                 LatencyWindows::latest()});
    decide(now_ms);
    looked_ms_ = now_ms;
}

// A pace that was asked for is not changed by what it does to others, and does not rest.
void Pacer::measure_latency(const Settings &settings, double now_ms) {
    if (stopped_ || fixed_duty(settings) || settings.limits.latency_ratio <= 0)
        latency_.stop();
    else
        latency_.tick(correction_is_settled_, now_ms);
}

void Pacer::measure_all(const Scene &scene) {
    unreadable_.clear();
    for (const Signal *signal : Signal::all()) {
        Gauge &gauge = gauges_[signal->name()];
        if (gauge.history.measured_ms == 0 ||
            scene.now_ms - gauge.history.measured_ms >= signal->period_ms()) {
            gauge.error.clear();
            gauge.reading.reset();
            const auto error = attempt(
                unreadable_for, [&] { gauge.reading = signal->measure(scene, gauge.history); });
            if (error) gauge.error = error->what();
            gauge.history.measured_ms = scene.now_ms;
        }
        if (!gauge.error.empty())
            unreadable_ += fmt::format("{}{} ({})", unreadable_.empty() ? "" : ", ", signal->name(),
                                       gauge.error);
    }
}

void Pacer::decide(double now_ms) {
    const Reading *worst = nullptr, *stop = nullptr;
    std::string worst_name, stop_name;
    double ceiling = 1;
    std::optional<Reading::Correction> correction;
    ceiling_by_ = {};
    for (const auto &[name, gauge] : gauges_) {
        if (!gauge.reading) continue;
        const Reading &reading = *gauge.reading;
        const bool was_stopped = stopped_ && stopped_->signal == name;
        if (!stop && reading.load >= (was_stopped ? reading.resume_at : reading.stop_at)) {
            stop = &reading;
            stop_name = name;
        }
        if (reading.correction) correction = reading.correction;
        if (reading.correction || (!correction && reading.ceiling < ceiling))
            ceiling_by_ = {Throttle::Level::slow, name, reading.text};
        ceiling = std::min(ceiling, reading.ceiling);
        // What the share is below of already must not hold it there.
        if (budget_duty_ < reading.lowest_duty) continue;
        if (!worst || reading.load > worst->load) {
            worst = &reading;
            worst_name = name;
        }
    }
    correction_is_settled_ = correction && correction->is_settled;
    ceiling_ = correction
                   ? std::min(ceiling * correction->times, std::max(ceiling, correction->most))
                   : ceiling;
    if (stop) {
        stopped_ = Throttle{Throttle::Level::stop, stop_name, stop->text};
        stands_by_ = false;
        budget_duty_ = std::min(budget_duty_, duty_after_stop);
        slowed_by_ = {Throttle::Level::slow, stop_name, stop->text};
        return;
    }
    if (stands_by_ && !gauges_[stopped_->signal].reading &&
        now_ms - inherited_ms_ < until_measured_ms)
        return;
    stopped_.reset();
    stands_by_ = false;
    const double load = worst ? worst->load : 0;
    if (load >= shrink_above) {
        if (load < 1)
            budget_duty_ = std::max(budget_duty_ * shrink_by, worst->lowest_duty);
        else if (now_ms - halved_ms_ >= between_halvings_ms) {
            budget_duty_ = std::max(budget_duty_ / 2, worst->lowest_duty);
            halved_ms_ = now_ms;
        }
        slowed_by_ = {Throttle::Level::slow, worst_name, worst->text};
    } else if (load < grow_below)
        budget_duty_ = std::min(budget_duty_ * grow_by, 1.0);
    if (budget_duty_ >= 1) slowed_by_ = {};
}

double Pacer::duty_of_all(const Settings &settings) const {
    return fixed_duty(settings).value_or(std::max(std::min(budget_duty_, ceiling_), lowest_duty));
}

// Several processes share what one may take; at full speed there is nothing to divide.
double Pacer::duty(const Settings &settings) const {
    const double all = duty_of_all(settings);
    const double share = all >= 1 ? all : all / processes_;
    return fixed_duty(settings) ? share : share * zdm_latency_share();
}

bool Pacer::beside_others() const { return running_ >= nobody_at_work; }

double Pacer::begin_box(const Settings &settings) {
    zdm_box_begins(beside_others(), duty(settings));
    return box_began_ms_ = zdm_now_ms();
}

double Pacer::end_box() {
    const double took_ms = zdm_now_ms() - box_began_ms_;
    double rested_ms = 0;
    owed_ms_ = zdm_box_ends(&rested_ms);
    worked_ms_ = took_ms - rested_ms;
    return took_ms;
}

double Pacer::box_ms(const Settings &settings) const {
    const bool alone = duty(settings) >= 1 && !beside_others() && processes_ == 1;
    return settings.batch_time_ms * (alone ? longer_when_alone : 1);
}

double Pacer::unbroken_box_ms(const Settings &settings) const {
    const double share = duty(settings), longest_ms = box_ms(settings);
    if (share >= 1 || fixed_duty(settings)) return longest_ms;
    return std::max(std::min(longest_ms, shortest_box_ms), longest_ms * std::sqrt(share));
}

double Pacer::pause_ms(const Settings &settings, const Box &box) {
    const double now_ms = zdm_now_ms();
    note_box(box, now_ms);
    wal_.spend(now_ms, zdm_own_wal_bytes(), processes_, settings.limits.wal_bytes_per_second);
    const double to_rest = fixed_duty(settings) ? 0 : zdm_latency_quiet_ms();
    return std::min(std::max({owed_ms_, wal_.pause_ms(), to_rest}), longest_pause_ms);
}

void Pacer::note_box(const Box &box, double now_ms) {
    if (box.rows > 0) {  // the others wait for something
        row_work_ms_ += worked_ms_;
        row_count_ += box.rows;
    }
    if (row_work_ms_ >= least_row_work_ms && row_count_ >= least_row_count) {
        us_per_row_ = row_work_ms_ * 1000 / static_cast<double>(row_count_);
        row_work_ms_ = 0;
        row_count_ = 0;
    }
    const double passed_ms = box_at_ms_ > 0 ? std::max(now_ms - box_at_ms_, 0.001) : 1000;
    row_waits_ += (1 - std::exp(-passed_ms / row_waits_mean_ms)) *
                  ((box.waited_for ? 1000 / passed_ms : 0) - row_waits_);
    box_at_ms_ = now_ms;
}

void Pacer::note_running() {
    const double now_ms = zdm_now_ms();
    const double passed_ms = running_at_ms_ > 0 ? now_ms - running_at_ms_ : running_mean_ms;
    running_ += (1 - std::exp(-passed_ms / running_mean_ms)) * (zdm_running_sessions() - running_);
    running_at_ms_ = now_ms;
}

Throttle Pacer::throttle(const Settings &settings) const {
    if (stopped_) return *stopped_;
    const double rate = wal_.rate(), limit = settings.limits.wal_bytes_per_second;
    if (limit > 0 && rate > 0.7 * limit)
        return {
            Throttle::Level::slow, "wal_rate",
            fmt::format("own WAL {}/s (zdm.max_wal_rate {}/s)", in_bytes(rate), in_bytes(limit))};
    if (const auto fixed = fixed_duty(settings)) {
        if (*fixed >= 1) return {};
        return {Throttle::Level::slow, "pace", fmt::format("zdm.pace = {}", settings.pace)};
    }
    if (ceiling_ < 0.9 && ceiling_ <= budget_duty_) return ceiling_by_;
    return budget_duty_ < 0.9 ? slowed_by_ : Throttle{};
}

}  // namespace zdm
