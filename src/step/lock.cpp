#include "step/lock.hpp"

#include <algorithm>
#include <vector>

#include "state/carried.hpp"
#include "step/giving_way.hpp"
#include "step/interruptible.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A transaction older than this will not end within a lock_timeout.
constexpr double old_transaction_seconds = 2;

// Whoever reads a view holds it and then asks for its tables: so do we, from the outermost view in,
// or each would wait for the other. They were recorded from the innermost out.
std::vector<uint32_t> views_first(std::vector<uint32_t> tables, std::vector<uint32_t> related) {
    std::vector<uint32_t> relations =
        query(
            R"(SELECT c.oid FROM unnest(string_to_array($1, ' ')::oid[]) WITH ORDINALITY AS r(oid, n)
             JOIN pg_class c ON c.oid = r.oid WHERE c.relkind IN ('v', 'm') ORDER BY n DESC)",
            {fmt::format("{}", fmt::join(related, " "))})
            .oids();
    const auto is_view = [views = relations](uint32_t relation) {
        return std::find(views.begin(), views.end(), relation) != views.end();
    };
    related.erase(std::remove_if(related.begin(), related.end(), is_view), related.end());
    tables.insert(tables.end(), related.begin(), related.end());
    tables = with_partitions(tables);
    relations.insert(relations.end(), tables.begin(), tables.end());
    return relations;
}

// A step of one table locks that one (and what it is related to); a step of the whole migration
// all of its tables, and all that what they carry is related to.
std::vector<uint32_t> relations_of_step(const Migration &migration, const Step &step) {
    if (step.relation != 0 && step.related != 0)
        return with_partitions({step.relation, step.related});
    if (step.relation != 0) return with_partitions({step.relation});
    std::vector<uint32_t> tables, related;
    for (const auto &seen : on_each_table(migration)) {
        tables.push_back(seen.relation);
        for (const auto &carried : load_carried(seen))
            if (carried.related != 0) related.push_back(carried.related);
    }
    return views_first(std::move(tables), std::move(related));
}

std::vector<uint32_t> relations_of(const Migration &migration, const Step &step) {
    const auto relations = relations_of_step(migration, step);
    if (std::find(relations.begin(), relations.end(), migration.relation) == relations.end())
        raise(sqlstate::undefined_table, {},
              "{}: the table was dropped; SELECT zdm.abort({}) closes the migration",
              described(migration), Literal(migration.name));
    return relations;
}

// Who holds one of them against us, in words; "" = nobody for longer than min_seconds. Read as the
// session's user: the ages of other roles' transactions are not for everybody, so their queries are
// not shown.
std::string holder(const std::vector<uint32_t> &relations, int mode, double min_seconds) {
    const Rows rows = query(
        R"(SELECT l.pid, l.mode, extract(epoch FROM clock_timestamp() - a.xact_start)::float8, a.state,
                  (SELECT format('%I.%I', n.nspname, c.relname)
                     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = l.relation)
             FROM pg_locks l
             LEFT JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND l.relation = ANY (string_to_array($1, ' ')::oid[])
              AND l.mode <> ALL (CASE $3::integer
                                 WHEN 8 THEN '{}'
                                 WHEN 1 THEN '{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock}'
                                 WHEN 6 THEN '{AccessShareLock,RowShareLock}'
                                 WHEN 5 THEN '{AccessShareLock,RowShareLock,ShareLock}'
                                 WHEN 3 THEN '{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock}'
                                 ELSE '{AccessShareLock,RowShareLock,RowExclusiveLock}' END::text[])
              AND coalesce(a.backend_type, '') <> 'autovacuum worker'
              AND (a.xact_start IS NULL OR a.xact_start < clock_timestamp() - make_interval(secs => $2::float8))
            ORDER BY a.xact_start NULLS FIRST LIMIT 1)",
        {fmt::format("{}", fmt::join(relations, " ")), min_seconds, mode});
    if (rows.empty()) return "";
    if (!rows.null_text(0, 0))
        return fmt::format("a prepared transaction holds {} on {}", rows.text(0, 1),
                           rows.text(0, 4));
    return fmt::format("pid {} holds {} on {} for {:.0f} s ({})", rows.text(0, 0), rows.text(0, 1),
                       rows.text(0, 4), rows.number(0, 2), rows.text(0, 3));
}

}  // namespace

int64_t retry_pause_ms(int attempts) {
    constexpr int64_t pauses[] = {100,  100,  100,  500,  500,   500,   2000,
                                  2000, 2000, 5000, 5000, 10000, 10000, 30000};
    const size_t last = std::size(pauses) - 1;
    const auto pause = pauses[std::min<size_t>(static_cast<size_t>(std::max(attempts, 0)), last)];
    return static_cast<int64_t>(static_cast<double>(pause) * (0.75 + zdm_random() / 2));
}

int lock_patience_ms(const Turn &turn, const Step &step) {
    constexpr double shares[] = {0.1, 0.2, 0.5};
    const auto attempt = static_cast<size_t>(step.attempts);
    const double share = attempt < std::size(shares) ? shares[attempt] : 1;
    return std::max(static_cast<int>(share * turn.settings.lock_timeout_ms), 1);
}

std::string table_holder(uint32_t relation, int mode) {
    std::vector<uint32_t> relations = query(
                                          R"(WITH RECURSIVE part (oid) AS (
               SELECT $1::oid
               UNION
               SELECT i.inhrelid FROM pg_inherits i JOIN part p ON p.oid = i.inhparent)
           SELECT oid FROM part)",
                                          {relation})
                                          .oids();
    return holder(relations, mode, 0);
}

std::vector<uint32_t> with_partitions(const std::vector<uint32_t> &tables) {
    return query(
               R"(SELECT DISTINCT c.oid
             FROM unnest(string_to_array($1, ' ')::oid[]) AS t(oid)
            CROSS JOIN LATERAL unnest()" ZDM_TREE_OF("t.oid") R"() AS r(oid)
             JOIN pg_class c ON c.oid = r.oid
            ORDER BY c.oid)",
               {fmt::format("{}", fmt::join(tables, " "))})
        .oids();
}

namespace {

std::vector<uint32_t> relations_of(const Turn &turn, const Step &step, const LockRequest &request) {
    if (request.relations.empty()) return relations_of(turn.migration, step);
    auto relations = request.relations;
    std::sort(relations.begin(), relations.end());
    return relations;
}

void lock_referenced(const LockRequest &request, int patience) {
    if (request.referenced == 0) return;
    check(zdm_lock_relations(1, &request.referenced, ZDM_ROW_SHARE, patience));
}

// While others stand behind what takes long.
Outcome giving_way_to_others(const Turn &turn, const LockRequest &request,
                             const std::vector<uint32_t> &relations,
                             const std::function<Outcome()> &body) {
    auto held = held_on(relations, request.mode);
    for (auto &one : held_on({request.referenced}, ZDM_ROW_SHARE)) held.push_back(std::move(one));
    return giving_way(turn, held, body);
}

Outcome lock_and_do(Turn &turn, const Step &step, const LockRequest &request,
                    const std::function<Outcome()> &body) {
    const auto &migration = turn.migration;
    const int mode = request.mode;
    Outcome outcome;
    double asked_ms = 0, locked_ms = 0;
    std::vector<uint32_t> relations;
    try {
        in_turn(turn, [&] {
            relations = relations_of(turn, step, request);
            const std::string blocker = holder(relations, mode, old_transaction_seconds);
            if (!blocker.empty()) {
                outcome = Outcome::wait(fmt::format("waits for a lock: {}", blocker),
                                        std::max<int64_t>(retry_pause_ms(step.attempts), 250));
                return;
            }
            if (!request.takes_long) hold_migration(migration);
            // The lock is held until the commit ends, which so waits for no disk and no synchronous
            // standby. What others write on top of it comes later in the WAL: none of that can
            // outlive a crash that takes this back. The times' commit below is an ordinary one.
            check(zdm_setting_override("synchronous_commit", "off", true));
            const int patience = lock_patience_ms(turn, step);
            asked_ms = zdm_now_ms();
            check(zdm_lock_relations(static_cast<int>(relations.size()), relations.data(), mode,
                                     patience));
            locked_ms = zdm_now_ms();
            {
                OwnerScope as_owner(migration.owner);
                // Nor does it queue for anything else that it finds out it needs.
                query(fmt::format("SET LOCAL lock_timeout = {}", patience));
                lock_referenced(request, patience);
                outcome = request.takes_long ? giving_way_to_others(turn, request, relations, body)
                                             : body();
            }
            if (outcome.is_done()) set_step_state(migration, step, request.final_state);
        });
    } catch (Error &error) {
        if (!error.is_lost_lock() || asked_ms == 0) throw;
        if (locked_ms > 0 && request.takes_long && error.is_own())
            return Outcome::wait(error.what(), retry_pause_ms(step.attempts));
        // Found out afterwards, when nobody queues behind us any more.
        in_turn(turn, [&] {
            const std::string blocker = holder(relations, mode, 0);
            outcome = Outcome::wait(
                fmt::format("waits for a lock: {}; tried for {:.0f} ms, {} attempts so far",
                            blocker.empty() ? "busy" : blocker, zdm_now_ms() - asked_ms,
                            step.attempts + 1),
                retry_pause_ms(step.attempts));
            record_lock_times(migration, step.ordinal, zdm_now_ms() - asked_ms, 0);
        });
        return outcome;
    }
    if (locked_ms > 0) {
        const double released_ms = zdm_locks_released_ms();
        in_transaction([&] {
            record_lock_times(migration, step.ordinal, locked_ms - asked_ms,
                              released_ms - locked_ms);
        });
    }
    return outcome;
}

}  // namespace

Outcome under_lock(Turn &turn, const Step &step, int mode, const std::function<Outcome()> &body,
                   const std::string &final_state) {
    LockRequest request;
    request.mode = mode;
    request.final_state = final_state;
    return under_lock_on(turn, step, request, body);
}

Outcome under_lock_on(Turn &turn, const Step &step, const LockRequest &request,
                      const std::function<Outcome()> &body) {
    if (!request.takes_long) return lock_and_do(turn, step, request, body);
    return interruptible(turn, [&] { return lock_and_do(turn, step, request, body); });
}

}  // namespace zdm
