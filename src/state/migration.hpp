// A migration as a value, and the few statements that read and write it.
//
// Only the worker moves a migration from phase to phase; SQL calls only set its target and state.
// Nothing of this is cached across transactions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/sql.hpp"

namespace zdm {

// In the order of a migration's life, so that phases compare. aborted is outside of the order.
enum class Phase { queued, expand, backfill, build, verify, ready, soak, done, aborted };

std::string to_string(Phase phase);
Phase phase_named(const std::string &name);  // raises 22023

struct Migration {
    int64_t id = 0;
    std::string name;
    std::string kind;
    uint32_t relation = 0;
    std::string relation_name;  // schema-qualified; as it was at start where the table is gone
    uint32_t owner = 0;         // of the table: the worker acts as this role
    std::string definition;
    Phase phase = Phase::queued;
    Phase target = Phase::ready;
    std::string state;  // running, waiting, paused, failed, idle
    std::string message;
    std::string error_code;
    bool revertible = true;
    std::string evaluation;  // the caller's settings that values depend on, name=value;...
    std::vector<std::string> settings;  // name=value

    bool unfinished() const { return phase != Phase::done && phase != Phase::aborted; }
    bool soaking() const { return phase == Phase::soak; }  // the new side is trusted
    bool has_work() const { return phase != target && (state == "running" || state == "waiting"); }
};

std::optional<Migration> load_migration(int64_t id);
std::optional<Migration> latest_migration(const std::string &name);
std::vector<Migration> unfinished_migrations();

// A migration as each of its tables sees it: relation, relation_name and owner are that table's.
// By OID, which is the order in which their locks are taken.
std::vector<Migration> on_each_table(const Migration &migration);
// In the swap's transaction, when it has made the sync triggers. A row of a catalog with that xmin
// is as the swap has made it; "" where there was none.
void note_swap(const Migration &migration);
std::string swap_transaction(const Migration &migration);
// Whether that is one of them or, at this moment, a partition of one.
bool has_table(const Migration &migration, uint32_t relation);
// One of them, or a table outside whose foreign key refers to one; 0: the migration's own. Raises
// 42P01 where it was dropped.
Migration on_table(const Migration &migration, uint32_t relation);

// Inserts it with its own table and returns the id. 23505 when an unfinished migration has the
// name.
int64_t insert_migration(const Migration &migration);
void insert_table(const Migration &seen_by_table);

// The row is locked by whoever changes it until that transaction ends, and a caller's may stay open
// for minutes. So the worker never waits for it: hold_migration raises 55P03 at once where somebody
// has it, and comes before any lock on a table; the setters below do the same. A caller waits.
void hold_migration(const Migration &migration);
// The same before something that there is no way back from: somebody may have called it off since
// the worker looked. Then it raises 55P03 too, and the worker looks anew.
void hold_on_way_to_done(const Migration &migration);
std::optional<Migration> lock_latest_migration(const std::string &name);

void set_phase(const Migration &migration, Phase phase);  // with event and NOTIFY
void set_target(const Migration &migration, Phase target);
void set_state(const Migration &migration, const std::string &state, const std::string &message,
               const std::string &error_code = "");
// The same as the worker reports it, who has read the migration some time ago: a pause that has
// come since stands, and where the target is reached by now there is nothing to report.
void report_state(const Migration &migration, const std::string &state, const std::string &message,
                  const std::string &error_code = "");
void set_revertible(const Migration &migration, bool revertible);
void set_setting(const Migration &migration, const std::string &setting, const Text &value);

// "migration \"x\" on public.t": how every message begins.
std::string described(const Migration &migration);

}  // namespace zdm
