// COMMENT ON INDEX and COMMENT ON CONSTRAINT: the object that takes over has none, and the one that
// is put on again at revert may have been made anew. So the comment is written again each time.
#include <algorithm>

#include "carry/carrier.hpp"
#include "state/index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// sql gives the name and the comment of those objects of a table ($1) that are among $2, "1,2,3",
// and the table that they are on: it or a partition.
class ObjectComment final : public Carrier {
  public:
    ObjectComment(const char *name, uint32_t class_id, int rank, const char *sql) noexcept
        : name_(name), class_id_(class_id), rank_(rank), sql_(sql) {}

    const char *name() const override { return name_; }
    int rank() const override { return rank_; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    // After those whose objects they are about, which have claimed what comes along.
    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        std::vector<uint32_t> objects;
        for (const auto &dependent : dependents)
            if (dependent.claimed &&
                (dependent.class_id == pg_class_id || dependent.class_id == pg_constraint_id))
                objects.push_back(dependent.object);
        const Rows rows =
            query(sql_, {scope.migration.relation, fmt::format("{}", fmt::join(objects, ","))});
        for (size_t row = 0; row < rows.size(); ++row)
            found.push_back({name_, rows.text(row, 0), "", rows.text(row, 1), rows.text(row, 1),
                             true, partition_of(scope, rows.oid(row, 2))});
        return found;
    }

    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        const auto is_gone = [&](const Carried &one) {
            return query("SELECT FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                         {relation_of(scope, one), one.object})
                       .empty() &&
                   !find_index(relation_of(scope, one), one.object);
        };
        own.erase(std::remove_if(own.begin(), own.end(), is_gone), own.end());
        return own;
    }

    void take_off(const CarryScope &, const Carried &, Side) const override {}

    void put_on(const CarryScope &table, const Carried &carried, Side) const override {
        const CarryScope scope = scope_of(table, carried);
        const Identifier object(carried.object);
        const Literal comment(carried.definition);
        query(class_id_ == pg_class_id
                  ? fmt::format("COMMENT ON INDEX {}.{} IS {}", scope.schema, object, comment)
                  : fmt::format("COMMENT ON CONSTRAINT {} ON {} IS {}", object, scope.table,
                                comment));
    }

  private:
    const char *name_;
    uint32_t class_id_;
    int rank_;
    const char *sql_;
};

// A key's index depends on the constraint; one that excludes, where a predicate reads the column,
// the other way round: then only the index is among the objects.
const ObjectComment index_comment(
    "index_comment", pg_class_id, 73,
    R"(
    SELECT c.relname, obj_description(c.oid, 'pg_class'), i.indrelid
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
     WHERE i.indrelid = ANY ()" ZDM_TREE_OF(
        "$1::oid") R"() AND i.indisvalid AND (k.oid::text = ANY (string_to_array($2, ',')) OR c.oid::text = ANY (string_to_array($2, ',')))
       AND obj_description(c.oid, 'pg_class') IS NOT NULL
     ORDER BY c.relname, i.indrelid)");

const ObjectComment constraint_comment(
    "constraint_comment", pg_constraint_id, 74,
    R"(
    SELECT k.conname, obj_description(k.oid, 'pg_constraint'), k.conrelid
      FROM pg_constraint k
     WHERE k.conrelid = ANY ()" ZDM_TREE_OF(
        "$1::oid") R"() AND k.contype IN ('c', 'f', 'p', 'u', 'x') AND (k.oid::text = ANY (string_to_array($2, ',')) OR k.contype = 'x' AND k.conindid::text = ANY (string_to_array($2, ',')))
       AND obj_description(k.oid, 'pg_constraint') IS NOT NULL
     ORDER BY k.conname, k.conrelid)");

}  // namespace
}  // namespace zdm
