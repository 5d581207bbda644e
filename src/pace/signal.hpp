// One signal of how the server fares under a pass. Add one: write src/pace/<signal>.cpp with a
// subclass and one static instance of it.
//
// A signal only measures. What follows from it is the pacer's: above its limit (load 1) the pass
// slows down, step by step, as long as it stays there; at stop_at it stops until the load has
// fallen to resume_at. What cannot be read is shown and stops nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pace/latency_windows.hpp"
#include "state/settings.hpp"

namespace zdm {

struct Reading {
    double load = 0;        // 1 = at its limit
    std::string text = {};  // what it is, its value and its limit: what status shows
    double stop_at = std::numeric_limits<double>::infinity();  // load
    double resume_at = 1;                                      // load
    // Not slower than this because of it: for what slowing down does not cure.
    double lowest_duty = 0.01;
    // The share of time that is right just now; for what is known to follow from that share.
    double ceiling = 1;
    // How many times the lowest ceiling experience allows, up to a share of time; empty: there is
    // none.
    struct Correction {
        double times;
        double most;
        bool is_settled;  // the latest comparison would hardly move it
    };
    std::optional<Correction> correction = {};
};

// What a pacer remembers for a signal from one measurement to the next.
struct History {
    double measured_ms = 0;
    double value = 0;
    struct Point {
        double at_ms;
        double value;
    };
    std::deque<Point> points;
    std::map<std::string, double> values;  // where there are several, by name
    std::map<std::string, double> growth;  // theirs from one look to the next, the most of late
};

// What a signal may look at.
struct Scene {
    double now_ms = 0;
    uint32_t relation = 0;  // the heap that is being worked on
    std::string relation_name;
    const Limits &limits;
    double running = 0;  // sessions at work at the same time, mean of the last second
    double cores = 1;
    double remaining_bytes = 0;  // of the heap, that a backfill will still write anew
    double us_per_row = 0;       // lately; 0: not measured yet
    double row_waits = 0;        // that others had to wait for a row of ours, a second
    double duty = 1;             // at present, of all workers together
    double ceiling = 1;          // of it, corrected, at present
    std::optional<ZdmLatencyComparison> latency = {};  // where it is measured
};

class Signal {
  public:
    virtual const char *name() const = 0;
    // How often a look is worth its cost.
    virtual double period_ms() const = 0;
    // In a transaction. Empty: nothing to measure here (no standby, no limit).
    virtual std::optional<Reading> measure(const Scene &scene, History &history) const = 0;

    static std::vector<const Signal *> all();  // by name

  protected:
    Signal() noexcept : next_(first_) { first_ = this; }
    ~Signal() = default;

  private:
    const Signal *next_;
    static const Signal *first_;  // constant-initialised: safe before any constructor runs
};

// "64 MB": bytes for people.
std::string in_bytes(double bytes);

}  // namespace zdm
