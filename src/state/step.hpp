// The plan of a migration: rows of zdm.step. Plain values; what a step does is in src/step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "state/migration.hpp"

namespace zdm {

struct Step {
    int ordinal = 0;
    Phase phase = Phase::expand;  // in which it runs
    std::string kind;             // names the code in src/step
    std::string object;           // what it works on, where a migration has several
    std::string description;
    std::string sql;        // what it runs, as far as it is known beforehand
    std::string lock_mode;  // strongest lock that it queues for, "" = none that blocks
    std::string state = "pending";
    int attempts = 0;       // how often it has begun, or could not be undone
    uint32_t relation = 0;  // the table that it works on; 0: all tables of the migration
    uint32_t related = 0;   // another table that it locks as well; 0: none

    bool done() const { return state == "done"; }
};

std::vector<Step> load_steps(int64_t migration);
void insert_steps(const Migration &migration, const std::vector<Step> &steps);
// Takes off all steps behind the ordinal, to plan them anew.
void delete_steps_after(const Migration &migration, int ordinal);
void set_step_state(const Migration &migration, const Step &step, const std::string &state,
                    const std::string &error = "");
void count_attempt(const Migration &migration, const Step &step);  // each 'running' is one
void reset_steps_from(const Migration &migration, int ordinal);    // to pending
void record_lock_times(const Migration &migration, int ordinal, double wait_ms, double hold_ms);

}  // namespace zdm
