// split_cutover, split_contract: from cutover on the part is trusted, and the source does not
// demand the columns any more: an application that knows the part leaves them out. Both tables stay
// equal until contract, which drops the columns from the source.
#include "carry/carrier.hpp"
#include "state/carried.hpp"
#include "state/index.hpp"
#include "step/lock.hpp"
#include "step/not_null_again.hpp"
#include "step/old_snapshot.hpp"
#include "step/split.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// Kept with the migration: columns that were set free.
constexpr const char *set_free = "not_null";

std::vector<std::string> demanded_columns(const Split &split) {
    std::vector<std::string> demanded;
    for (const auto &name : split.column_names)
        if (!query("SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND "
                   "attnotnull",
                   {split.source.relation, name})
                 .empty())
            demanded.push_back(name);
    return demanded;
}

class SplitCutover final : public StepKind {
  public:
    const char *name() const override { return "split_cutover"; }

    Outcome run(Turn &turn, const Step &step) const override {
        Outcome ready;
        in_turn(turn, [&] { ready = after_old_snapshots(turn.migration, step); });
        if (!ready.is_done()) return ready;
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const Split split = load_split(turn.migration, turn.mapping);
            check_mirror(split);
            create_mirror(split, true);
            std::vector<Carried> freed;
            for (const auto &column : demanded_columns(split)) {
                query(fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL",
                                  split.source_table, Identifier(column)));
                freed.push_back({set_free, column, "", "NOT NULL", "", true, 0});
            }
            replace_carried(turn.migration, freed);
            set_phase(turn.migration, Phase::soak);
            return Outcome::finished();
        });
    }

    Outcome undo(Turn &turn, const Step &step) const override {
        std::vector<Carried> freed;
        in_turn(turn, [&] { freed = load_carried(turn.migration); });
        for (const auto &column : freed) {
            const Outcome proved = prove_not_null_again(turn, step, column.object, column.object);
            if (!proved.is_done()) return proved;
        }
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                const Split split = load_split(turn.migration, turn.mapping);
                create_mirror(split, false);
                for (const auto &column : freed) {
                    query(fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL",
                                      split.source_table, Identifier(column.object)));
                    query(fmt::format(
                        "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", split.source_table,
                        Identifier(not_null_proof_name(turn.migration, column.object))));
                }
                set_phase(turn.migration, Phase::ready);
                return Outcome::finished();
            },
            "pending");
    }
} const split_cutover;

// Sequences of serial columns would go with the source's column, and the part's default with them.
void hand_over_sequences(const Split &split) {
    const Rows rows = query(
        R"(SELECT s.oid::regclass, a.attname
             FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
             JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
              AND d.refobjid = $1::oid AND d.deptype = 'a' AND a.attname = ANY (string_to_array($2, E'\x01')))",
        {split.source.relation, fmt::format("{}", fmt::join(split.column_names, "\x01"))});
    for (size_t row = 0; row < rows.size(); ++row)
        query(fmt::format("ALTER SEQUENCE {} OWNED BY {}.{}", rows.text(row, 0), split.part_table,
                          Identifier(rows.text(row, 1))));
}

class SplitContract final : public StepKind {
  public:
    const char *name() const override { return "split_contract"; }

    Outcome run(Turn &turn, const Step &step) const override {
        return under_lock(turn, step, ZDM_ACCESS_EXCLUSIVE, [&] {
            const Split split = load_split(turn.migration, turn.mapping);
            drop_mirror(turn.migration);
            hand_over_sequences(split);
            for (const auto &column : load_carried(turn.migration))
                query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", split.source_table,
                                  Identifier(not_null_proof_name(turn.migration, column.object))));
            std::vector<std::string> drops;
            for (const auto &column : split.column_names)
                drops.push_back(fmt::format("DROP COLUMN {}", Identifier(column)));
            query(fmt::format("ALTER TABLE {} {}", split.source_table, fmt::join(drops, ", ")));
            set_phase(turn.migration, Phase::done);
            return Outcome::finished();
        });
    }
} const split_contract;

}  // namespace
}  // namespace zdm
