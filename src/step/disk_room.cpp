#include "step/disk_room.hpp"

#include <algorithm>

#include "pace/signal.hpp"
#include "state/index.hpp"
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr int64_t longest_pause_ms = 5000;

// A B-tree's: header and line pointer of an entry, alignment of its end, and pages that are filled
// to nine tenths.
constexpr double entry_bytes = 8 + 4 + 4;
constexpr double fill = 0.9;

constexpr double sample_pages = 100;

struct Table {
    std::string quoted;
    double rows = 0;
    double pages = 0;
};

Table load_table(uint32_t relation) {
    const Rows rows = query(
        R"(SELECT greatest(reltuples, 0) / greatest(relpages, 1),
                  pg_relation_size(oid)::float8 / current_setting('block_size')::float8
             FROM pg_class WHERE oid = $1::oid)",
        {relation});
    const auto quoted = quoted_relation(relation);
    if (rows.empty() || !quoted) return {};
    return {*quoted, rows.number(0, 0) * rows.number(0, 1), rows.number(0, 1)};
}

// What the server has deparsed it cannot always parse (ROW(a) *= ROW(b)), and an owner may have
// taken the right to read from himself: then there is no estimate.
const std::vector<std::string> not_estimated = {"42883", "42501"};

// Of the rows of a few pages: how many are to be in the index, and how wide their keys are. Keys
// are looked at where the index would: elsewhere they may be an error.
double index_bytes(const Table &table, const ZdmIndexDefinition &definition) {
    std::string width;
    for (int i = 0; i < definition.key_count; ++i)
        width += fmt::format("{}coalesce(pg_column_size({}), 0)", i > 0 ? " + " : "",
                             definition.keys[i]);
    const std::string sample = fmt::format(
        R"(SELECT count(*), count(width), coalesce(avg(width), 0)
             FROM (SELECT CASE WHEN {} THEN {} END AS width FROM {} TABLESAMPLE SYSTEM ({})) AS sample)",
        definition.predicate ? fmt::format("({})", definition.predicate) : "true", width,
        table.quoted, std::min(100.0, 100 * sample_pages / std::max(table.pages, 1.0)));
    Rows rows;
    if (attempt(not_estimated, [&] { rows = query(sample); })) return 0;
    const double all = rows.number(0, 0);
    if (all <= 0) return 0;
    const double share = rows.number(0, 1) / all;
    return table.rows * share * (rows.number(0, 2) + entry_bytes) / fill;
}

// What does not fit into memory is sorted on the database's own disk.
double sort_bytes(double index_bytes, const ZdmIndexDefinition &definition) {
    if (definition.tablespace != nullptr) return 0;
    const Rows rows = query(
        "SELECT pg_size_bytes(current_setting('maintenance_work_mem')), "
        "current_setting('temp_tablespaces') = ''");
    return rows.boolean(0, 1) && index_bytes > rows.number(0, 0) ? index_bytes : 0;
}

}  // namespace

Outcome room_for_index(Turn &turn, const Step &step, uint32_t relation,
                       const std::string &create_sql, const std::string &work) {
    Outcome outcome;
    in_turn(turn, [&] {
        const double to_stay_free = turn.settings.limits.disk_free_bytes;
        if (to_stay_free <= 0) return;
        const Table table = load_table(relation);
        if (table.quoted.empty()) return;
        double needed = 0, free = 0;
        {
            OwnerScope as_owner(turn.migration.owner);
            ZdmIndexDefinition definition{};
            check(zdm_index_parse(create_sql.c_str(), relation, &definition));
            needed = index_bytes(table, definition);
            needed += sort_bytes(needed, definition);
            check(zdm_tablespace_free(definition.tablespace, &free));
        }
        if (needed + to_stay_free <= free) return;
        outcome = Outcome::wait(
            fmt::format("disk has {} free for {}, which needs about {} (zdm.min_disk_free {})",
                        in_bytes(free), work, in_bytes(needed), in_bytes(to_stay_free)),
            std::min(retry_pause_ms(step.attempts), longest_pause_ms));
    });
    return outcome;
}

}  // namespace zdm
