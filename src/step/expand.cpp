// expand: new columns and the sync trigger in one transaction. From its commit on every row version
// that anybody writes is in sync; nothing before it knows of the new columns. CREATE TRIGGER's lock
// (and ours, which is stronger) waits for writers that are in mid-transaction, so none is missed.
#include "carry/attribute.hpp"
#include "carry/generated.hpp"
#include "carry/privilege.hpp"
#include "carry/security_label.hpp"
#include "carry/storage.hpp"
#include "step/lock.hpp"
#include "step/sync_trigger.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

bool column_exists(const Migration &migration, const std::string &name) {
    return !query(
                "SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND NOT "
                "attisdropped",
                {migration.relation, name})
                .empty();
}

// A default that the new type does not take would fail cutover, long after the backfill. Try it
// now; the new column is still empty and nobody sees it in between.
void try_defaults(const CarryScope &scope) {
    if (!scope.is_paired()) return;
    for (const auto &carried : load_carried(scope.migration))
        if (carried.carrier == "default") {
            const Carrier *carrier = &Carrier::find_carrier(carried.carrier);
            carrier->put_on(scope, carried, Side::new_side);
            carrier->take_off(scope, carried, Side::new_side);
        }
}

class Expand final : public StepKind {
  public:
    const char *name() const override { return "expand"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const CarryScope scope = carry_scope(turn.migration, turn.mapping);
            for (const auto &column : turn.mapping.new_columns)
                query(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", scope.table,
                                  Identifier(column.name), column.type));
            try_defaults(scope);
            share_storage({&scope});
            share_attributes({&scope});
            share_privileges({&scope}, Side::new_side);
            share_security_labels({&scope}, Side::new_side);
            create_sync_trigger(scope);
            if (turn.migration.phase < Phase::expand) set_phase(turn.migration, Phase::expand);
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        if (turn.migration.phase == Phase::queued) return Outcome::finished();
        bool gone = false;
        in_turn(turn, [&] {
            gone = query("SELECT FROM pg_class WHERE oid = $1::oid", {turn.migration.relation})
                       .empty();
        });
        if (gone) return Outcome::finished();
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                const CarryScope scope = carry_scope(turn.migration, turn.mapping);
                drop_sync_trigger(scope);
                let_generated_read(scope, Side::old_side);
                // Indexes and constraints that were built on the new columns go with them.
                for (const auto &column : turn.mapping.new_columns)
                    if (column_exists(turn.migration, column.name))
                        query(fmt::format("ALTER TABLE {} DROP COLUMN {}", scope.table,
                                          Identifier(column.name)));
                return Outcome::finished();
            },
            "undone");
    }
} const expand;

}  // namespace
}  // namespace zdm
