#include "step/proof.hpp"

#include "carry/plan.hpp"
#include "state/index.hpp"
#include "step/lock.hpp"
#include "step/public_text.hpp"

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

// Finished: there are none any more.
Outcome take_down_proofs(Turn &turn, const Step &step) {
    bool proved = false, withdrawn = false;
    in_turn(turn, [&] { proved = has_proofs(turn.migration); });
    if (!proved) return Outcome::finished();
    const Outcome outcome = under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
        withdraw_proofs(turn.migration);
        withdrawn = true;
        return Outcome::more();
    });
    return withdrawn ? Outcome::finished() : outcome;
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
        if (!is_for_good(error)) throw;
        Outcome down;
        try {
            down = take_down_proofs(turn, step);
        } catch (Error &second) {
            if (!is_for_good(second)) throw;
            raise_both(turn.migration, error, "what was put up to prove it cannot be taken down",
                       second);
        }
        if (!down.is_done()) return down;
        throw;
    }
}

}  // namespace zdm
