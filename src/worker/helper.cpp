// A helper: where zdm.max_workers allows it, the worker starts some for its backfill. Each works on
// a range of blocks of its own and leaves when there is none that is free. It knows nothing that
// is not in zdm's tables, and decides nothing: steps and phases are the worker's.
#include "core/boundary.hpp"
#include "step/backfill.hpp"
#include "worker/worker.h"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

struct Work {
    Migration migration;  // as the table of the step under way sees it
    Mapping mapping;
};

std::optional<Work> find_work(int64_t id) {
    if (query("SELECT to_regclass('zdm.migration')").text(0, 0).empty()) return std::nullopt;
    const auto migration = load_migration(id);
    if (!migration || !migration->has_work()) return std::nullopt;
    for (const auto &step : load_steps(id)) {
        if (step.kind != "backfill" || step.done() || step.phase > migration->phase) continue;
        const Migration seen = on_table(*migration, step.relation);
        return Work{seen, load_mapping(seen)};
    }
    return std::nullopt;
}

void help(int64_t id) {
    std::optional<Work> work;
    in_transaction([&] { work = find_work(id); });
    if (!work) return;
    Pacer pacer;
    Turn turn{work->migration, work->mapping, {}, true, pacer, true};
    try {
        help_backfill(turn);
    } catch (Error &error) {
        if (error.is_shut_down()) throw;
        // The worker comes to the same range, and tells what is wrong with it.
        zdm_log(fmt::format("zdm: a helper leaves {}: {}", described(work->migration), error.what())
                    .c_str());
    }
}

}  // namespace

}  // namespace zdm

using namespace zdm;

ErrorData *zdm_helper_run(int64_t migration) noexcept {
    return boundary([&] { help(migration); });
}
