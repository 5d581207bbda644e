#include "step/half_built_index.hpp"

#include "carry/carrier.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr int64_t half_built_pause_ms = 250;

}  // namespace

Outcome after_half_built_indexes(const Migration &migration) {
    for (const auto &scope : scopes_of(migration)) {
        const auto index = half_built_index(scope);
        if (!index) continue;
        std::string reason =
            fmt::format("waits for migration \"{}\", which is building an index on the same column",
                        index->migration);
        const Literal other(index->migration);
        if (index->state == "paused")
            reason += fmt::format(" and is paused; SELECT zdm.resume({})", other);
        if (index->state == "failed")
            reason += fmt::format(
                " and has failed; mend what it says and SELECT zdm.resume({}), or SELECT "
                "zdm.abort({})",
                other, other);
        return Outcome::wait(reason, half_built_pause_ms);
    }
    return Outcome::finished();
}

}  // namespace zdm
