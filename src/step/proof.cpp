#include "step/proof.hpp"

#include "carry/exclusion.hpp"
#include "carry/generated.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

bool is_proof(const Step &part) {
    return part.kind == "add_constraint" || part.kind == enforce_exclusion_step ||
           part.kind == guard_generated_step;
}

void withdraw_proof(const CarryScope &scope, const Step &proof) {
    if (proof.kind != guard_generated_step)
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", scope.table,
                          Identifier(proof.object)));
    else
        query(fmt::format("DROP INDEX IF EXISTS {}.{}", scope.schema, Identifier(proof.object)));
}

}  // namespace zdm
