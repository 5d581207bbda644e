#include "step/proof.hpp"

#include "carry/plan.hpp"
#include "state/index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

bool stands(const Proof &proof) {
    if (proof.is_index) return find_index(proof.relation, proof.name).has_value();
    return !query("SELECT FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                  {proof.relation, proof.name})
                .empty();
}

}  // namespace

std::vector<Proof> standing_proofs(const Migration &migration) {
    std::vector<Proof> standing;
    for (const auto &table : carried_tables(migration))
        for (const auto &one : table.carried)
            if (auto proof = Carrier::find_carrier(one.carrier).proof_of_old(table.scope, one);
                proof && stands(*proof))
                standing.push_back(std::move(*proof));
    return standing;
}

void withdraw_proofs(const Migration &migration) {
    for (const auto &proof : standing_proofs(migration)) {
        if (proof.is_index)
            query(fmt::format("DROP INDEX {}", find_index(proof.relation, proof.name)->quoted));
        else
            query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}",
                              quoted_relation(proof.relation).value(), Identifier(proof.name)));
    }
}

}  // namespace zdm
