#include "step/proof.hpp"

#include "carry/plan.hpp"
#include "state/index.hpp"
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A partition may have had one that is its parent's by now, and comes down with that.
bool stands(const Proof &proof) {
    if (proof.is_index) return find_index(proof.relation, proof.name).has_value();
    return !query(
                "SELECT FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2 AND "
                "coninhcount = 0",
                {proof.relation, proof.name})
                .empty();
}

std::vector<Proof> standing_proofs(const Migration &migration) {
    std::vector<Proof> standing;
    for (const auto &table : carried_tables(migration))
        for (const auto &one : table.carried)
            if (auto proof = Carrier::find_carrier(one.carrier).proof_of_old(table.scope, one);
                proof && stands(*proof))
                standing.push_back(std::move(*proof));
    return standing;
}

}  // namespace

bool has_proofs(const Migration &migration) { return !standing_proofs(migration).empty(); }

void withdraw_proofs(const Migration &migration) {
    for (const auto &proof : standing_proofs(migration)) {
        if (proof.is_index)
            query(fmt::format("DROP INDEX {}", find_index(proof.relation, proof.name)->quoted));
        else
            query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}",
                              quoted_relation(proof.relation).value(), Identifier(proof.name)));
    }
}

Outcome or_withdraw_proofs(Turn &turn, const Step &step, const std::function<Outcome()> &body) {
    try {
        return body();
    } catch (Error &error) {
        // Class 57: cancelled, or shut down.
        if (passes_by_itself(error.sqlstate()) || error.sqlstate().substr(0, 2) == "57") throw;
        bool proved = false, withdrawn = false;
        in_turn(turn, [&] { proved = has_proofs(turn.migration); });
        if (!proved) throw;
        const Outcome outcome = under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            withdraw_proofs(turn.migration);
            withdrawn = true;
            return Outcome::more();
        });
        if (!withdrawn) return outcome;
        throw;
    }
}

}  // namespace zdm
