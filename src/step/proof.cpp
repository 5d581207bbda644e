#include "step/proof.hpp"

#include "carry/exclusion.hpp"
#include "carry/generated.hpp"
#include "state/index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// Of a partition's generated column: the partition.
uint32_t indexed_table(uint32_t table, const Step &proof) {
    return proof.kind == guard_generated_step && proof.related != 0 ? proof.related : table;
}

}  // namespace

bool is_proof(const Step &part) {
    return part.kind == "add_constraint" || part.kind == enforce_exclusion_step ||
           part.kind == guard_generated_step;
}

bool stands(const Step &proof) {
    return !query(R"(SELECT FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2
                     UNION ALL
                     SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                      WHERE i.indrelid = $3::oid AND c.relname = $2)",
                  {proof.relation, proof.object, indexed_table(proof.relation, proof)})
                .empty();
}

void withdraw_proof(const CarryScope &scope, const Step &proof) {
    if (proof.kind != guard_generated_step)
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", scope.table,
                          Identifier(proof.object)));
    else if (const auto index =
                 find_index(indexed_table(scope.migration.relation, proof), proof.object))
        query(fmt::format("DROP INDEX {}", index->quoted));
}

}  // namespace zdm
