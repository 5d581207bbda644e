// NOT NULL: by a CHECK that is validated online, so that SET NOT NULL at cutover finds it proved
// and scans nothing (tablecmds.c, NotNullImpliedByRelConstraints). The old column is set free at
// cutover: a value that does not fit it becomes NULL there and must not fail the write. A partition
// may demand it where its parent does not.
#include "carry/carrier.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class NotNull final : public Carrier {
  public:
    const char *name() const override { return "not_null"; }
    int rank() const override { return 30; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        for (const auto &column : scope.mapping.old_columns)
            for (const auto &demand : demands(scope, column.current_name(scope.soak_names))) {
                if (demand.constraint != 0) claim(dependents, pg_constraint_id, demand.constraint);
                found.push_back(carried_of(scope, column, demand));
            }
        return found;
    }

    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        std::vector<Carried> present;
        for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair)
            for (const auto &demand :
                 demands(scope, column_at(scope, Side::new_side, pair).soak_name))
                present.push_back(carried_of(scope, scope.mapping.old_columns[pair], demand));
        return present;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        if (!scope.is_paired()) return {};
        return proof(scope_of(scope, carried), Phase::build, carried.shadow,
                     column_of(scope, Side::new_side, carried.object));
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        const CarryScope there = scope_of(scope, carried);
        Step drop = drop_constraint_step(there, Phase::build, carried.shadow);
        if (has_kept_its_own(scope, carried))
            drop.sql += fmt::format(", ALTER COLUMN {} DROP NOT NULL",
                                    column_of(there, Side::new_side, carried.object));
        return on(there, {drop});
    }

    std::vector<Step> reinstate(const CarryScope &scope, const Carried &carried) const override {
        return proof(scope_of(scope, carried), Phase::soak, old_name(scope, carried),
                     old_column(scope, carried));
    }

    std::optional<Proof> proof_of_old(const CarryScope &scope,
                                      const Carried &carried) const override {
        return Proof{relation_of(scope, carried), old_name(scope, carried)};
    }

    // The new column keeps its NOT NULL after a revert: the next cutover needs no second proof, and
    // it asks for no more than the CHECK asked for before.
    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (side == Side::old_side && !is_identity(scope, carried))
            query(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                              scope_of(scope, carried).table, old_column(scope, carried)));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (side == Side::new_side && !scope.is_paired()) return;
        const bool to_old = side == Side::old_side;
        const Identifier column =
            to_old ? old_column(scope, carried) : column_of(scope, side, carried.object);
        const Identifier check(to_old ? old_name(scope, carried) : carried.shadow);
        const std::string table = scope_of(scope, carried).table;
        query(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL", table, column));
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", table, check));
    }

  private:
    // Of the table, or of a partition whose parent does not demand it.
    struct Demand {
        uint32_t relation = 0;
        uint32_t constraint = 0;  // servers since 18 have one
        bool by_itself = false;   // and not because it is an identity column or in a primary key
    };

    static std::vector<Demand> demands(const CarryScope &scope, const std::string &column) {
        const Rows rows = query(
            R"(SELECT a.attrelid, coalesce(c.oid, 0),
                      a.attidentity = '' AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'p' AND a.attnum = ANY (k.conkey))
                 FROM pg_attribute a
                 LEFT JOIN pg_constraint c ON c.conrelid = a.attrelid AND c.contype = 'n' AND a.attnum = ANY (c.conkey)
                WHERE a.attrelid = ANY ()" ZDM_TREE_OF(
                "$1::oid") R"() AND a.attname = $2 AND a.attnotnull
                  AND (a.attrelid = $1::oid
                       OR NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_attribute p ON p.attrelid = i.inhparent
                                       WHERE i.inhrelid = a.attrelid AND p.attname = $2 AND p.attnotnull))
                ORDER BY a.attrelid <> $1::oid, a.attrelid)",
            {scope.migration.relation, column});
        std::vector<Demand> found;
        for (size_t row = 0; row < rows.size(); ++row)
            found.push_back({rows.oid(row, 0), rows.oid(row, 1), rows.boolean(row, 2)});
        return found;
    }

    static Carried carried_of(const CarryScope &scope, const MappedColumn &column,
                              const Demand &demand) {
        return {"not_null",
                column.name,
                new_object_name(scope.migration.id, column.name + "_not_null"),
                "NOT NULL",
                scope.is_paired() ? "NOT NULL" : "",
                true,
                partition_of(scope, demand.relation)};
    }

    // Since an earlier cutover, and not because the parent demands it.
    static bool has_kept_its_own(const CarryScope &scope, const Carried &carried) {
        if (!scope.is_paired()) return false;
        for (const auto &demand :
             demands(scope, column_of(scope, Side::new_side, carried.object).name))
            if (demand.relation == relation_of(scope, carried)) return demand.by_itself;
        return false;
    }

    static std::vector<Step> proof(const CarryScope &scope, Phase phase,
                                   const std::string &constraint, const Identifier &column) {
        return on(scope,
                  {{0, phase, "add_constraint", constraint,
                    fmt::format("Demand that {} is not NULL in new writes", column),
                    fmt::format("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID",
                                scope.table, Identifier(constraint), column),
                    "ACCESS EXCLUSIVE"},
                   {0, phase, "validate_constraint", constraint,
                    fmt::format("Prove that {} is not NULL in any row", column),
                    fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", scope.table,
                                Identifier(constraint)),
                    "SHARE UPDATE EXCLUSIVE"}});
    }

    // It demands NOT NULL for as long as it is one (identity.cpp).
    static bool is_identity(const CarryScope &scope, const Carried &carried) {
        return !query(
                    "SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND "
                    "attidentity <> ''",
                    {scope.migration.relation, old_column(scope, carried).name})
                    .empty();
    }

    static std::string old_name(const CarryScope &scope, const Carried &carried) {
        return old_object_name(scope.migration.id, carried.object + "_not_null");
    }

    static Identifier old_column(const CarryScope &scope, const Carried &carried) {
        return column_of(scope, Side::old_side, carried.object);
    }
} const not_null_carrier;

}  // namespace
}  // namespace zdm
