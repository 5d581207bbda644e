#include "step/not_null_again.hpp"

#include "carry/carrier.hpp"
#include "state/names.hpp"
#include "step/giving_way.hpp"
#include "step/lock.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::string not_null_proof_name(const Migration &migration, const std::string &column) {
    return old_object_name(migration.id, column + "_not_null");
}

Outcome prove_not_null_again(Turn &turn, const Step &step, const std::string &column,
                             const std::string &present) {
    std::string table;
    const Identifier name(present);
    in_turn(turn, [&] {
        table = carry_scope(turn.migration, turn.mapping).table;
        const auto held = held_on(with_partitions({turn.migration.relation}), ZDM_ACCESS_SHARE);
        OwnerScope as_owner(turn.migration.owner);
        const int64_t count = giving_way(turn, held, [&] {
            return query(fmt::format("SELECT count(*) FROM {} WHERE {} IS NULL", table, name))
                .integer(0, 0);
        });
        if (count > 0)
            raise(sqlstate::discrepancies, {},
                  "{} cannot be reverted: {} row{} written since cutover ha{} no value in {}, "
                  "which was NOT NULL; give {} one and SELECT zdm.resume({}), or SELECT "
                  "zdm.contract({})",
                  described(turn.migration), count, count == 1 ? "" : "s", count == 1 ? "s" : "ve",
                  name, count == 1 ? "it" : "them", Literal(turn.migration.name),
                  Literal(turn.migration.name));
    });
    Step add = step, validate = step;
    add.object = validate.object = not_null_proof_name(turn.migration, column);
    add.sql = fmt::format("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID",
                          table, Identifier(add.object), name);
    validate.sql =
        fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", table, Identifier(validate.object));
    const Outcome added = StepKind::find("add_constraint").run(turn, add);
    if (!added.is_done()) return added;
    return StepKind::find("validate_constraint").run(turn, validate);
}

}  // namespace zdm
