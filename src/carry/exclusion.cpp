// Exclusion constraints, where the new column always holds what the old one does (a rename): the
// index is built CONCURRENTLY as a plain one and becomes the constraint at cutover, when no two
// rows can exclude each other on the new side that the old one has let in. The old index stays
// until contract as a plain one. Where the values become others no short lock can tell, and there
// is no NOT VALID that would let a scan follow: refused.
#include "carry/carrier.hpp"
#include "carry/index_definition.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

class Exclusion final : public Carrier {
  public:
    const char *name() const override { return "exclusion"; }
    int rank() const override { return 62; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        // Left unclaimed, so refused by name.
        if (scope.partitioned || !scope.is_paired()) return found;
        // timing: the operators, and what stands behind the columns.
        const Rows rows = query(
            R"(SELECT k.oid, k.conname, k.conindid,
                      array_to_string(k.conexclop, ' ')
                      || CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END
                      || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END
                 FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid
                WHERE k.conrelid = $1::oid AND k.contype = 'x' AND i.indisvalid ORDER BY k.conname)",
            {scope.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row) {
            // What its expressions and its predicate read is the index's.
            const uint32_t constraint = rows.oid(row, 0), index = rows.oid(row, 2);
            const bool by_key = claim(dependents, pg_constraint_id, constraint);
            if (!claim(dependents, pg_class_id, index) && !by_key) continue;
            const std::string object = rows.text(row, 1);
            if (!scope.mapping.reverse_is_identity()) refuse(scope, object);
            const std::string shadow = new_object_name(scope.migration.id, object);
            found.push_back(
                {name(), object, shadow,
                 index_definition(scope, index, old_object_name(scope.migration.id, object),
                                  Side::old_side, Names::soak),
                 index_definition(scope, index, shadow, Side::new_side, Names::before), true, 0,
                 columns_of(pg_constraint_id, constraint) + " " + columns_of(pg_class_id, index),
                 "", rows.text(row, 3)});
        }
        return found;
    }

    std::vector<Step> prepare(const CarryScope &, const Carried &carried) const override {
        return {create_index_step(Phase::build, carried.shadow, carried.shadow_definition)};
    }

    std::vector<Step> clean_up(const CarryScope &scope, const Carried &carried) const override {
        return {drop_index_step(scope, Phase::done, name_of_side(scope, carried, Side::old_side))};
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        return {drop_index_step(scope, Phase::build, carried.shadow)};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        const Rows rows =
            query("SELECT oid FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                  {scope.migration.relation, carried.object});
        check(zdm_constraint_release_index(rows.oid(0, 0)));
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", scope.table,
                          Identifier(carried.object)));
        rename_index(scope, carried.object, name_of_side(scope, carried, side));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        rename_index(scope, name_of_side(scope, carried, side), carried.object);
        const Rows rows = query(
            R"(SELECT i.indexrelid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = $1::oid AND c.relname = $2)",
            {scope.migration.relation, carried.object});
        const std::vector<uint32_t> operators = operators_of(carried);
        check(zdm_index_exclude(rows.oid(0, 0), static_cast<int>(operators.size()),
                                operators.data(), has(carried, "DEFERRABLE"),
                                has(carried, "INITIALLY DEFERRED")));
    }

  private:
    static std::string name_of_side(const CarryScope &scope, const Carried &carried, Side side) {
        return side == Side::new_side ? carried.shadow
                                      : old_object_name(scope.migration.id, carried.object);
    }

    static bool has(const Carried &carried, const char *words) {
        return carried.timing.find(words) != std::string::npos;
    }

    static std::vector<uint32_t> operators_of(const Carried &carried) {
        std::vector<uint32_t> operators;
        const Rows rows = query(
            "SELECT o.given::oid FROM regexp_split_to_table($1, ' ') WITH ORDINALITY AS o(given, "
            "n) "
            "WHERE o.given ~ '^[0-9]' ORDER BY o.n",
            {carried.timing});
        for (size_t row = 0; row < rows.size(); ++row) operators.push_back(rows.oid(row, 0));
        return operators;
    }

    [[noreturn]] static void refuse(const CarryScope &scope, const std::string &constraint) {
        raise(sqlstate::unsupported, {},
              "zdm: {}: exclusion constraint {} on {} reads it, and the server can build one only "
              "under a lock that stops every write; drop it first, and add it again after cutover "
              "when the table can stand still",
              described(scope), Identifier(constraint), scope.table);
    }
} const exclusion_carrier;

}  // namespace
}  // namespace zdm
