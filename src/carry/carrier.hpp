// Everything that hangs on an old column comes along at cutover: one small carrier for each kind of
// object. Add one: write src/carry/<object>.cpp with a subclass and one static instance of it.
//
// A carrier finds its objects by pg_depend and claims them; what depends on a column and nobody
// claims is refused at start (ZD004), so nothing is forgotten in silence. The counterpart is built
// online in phase build. Cutover is, in one transaction under ACCESS EXCLUSIVE: every carrier's
// take_off(old) in reverse order, the renames of the columns, every carrier's put_on(new) in order.
// Revert is the same with the sides exchanged, after reinstate() has made the old side fit again.
// What the server stores as a query (views, rules) has no counterpart: it is found again before
// each swap, and made again from its own text, in which the columns have the application's names.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "state/carried.hpp"
#include "state/index.hpp"
#include "state/mapping.hpp"
#include "state/migration.hpp"
#include "state/step.hpp"

namespace zdm {

// What a carrier works with.
struct CarryScope {
    Migration migration;
    Mapping mapping;
    std::string table;   // quoted and schema-qualified, ready for SQL
    std::string schema;  // quoted
    bool partitioned = false;
    bool soak_names = false;  // which names the columns have at this moment

    bool is_paired() const { return mapping.is_paired(); }
    // Each new column has its old one's name after cutover: a text by names stays as it is.
    bool keeps_names() const;
};

// The migration is given as one of its tables sees it (on_each_table).
CarryScope carry_scope(const Migration &migration, const Mapping &mapping);
std::vector<CarryScope> scopes_of(const Migration &migration);  // of all its tables, by OID

// What a partition has for itself is carried with Carried::related; 0 is the table itself.
inline uint32_t partition_of(const CarryScope &table, uint32_t relation) {
    return relation == table.migration.relation ? 0 : relation;
}
inline uint32_t relation_of(const CarryScope &table, const Carried &carried) {
    return carried.related != 0 ? carried.related : table.migration.relation;
}
// The scope on the table or on a partition of it, and on the one that something is carried on.
CarryScope scope_on(const CarryScope &table, uint32_t relation);
CarryScope scope_of(const CarryScope &table, const Carried &carried);
// Steps that work on that scope's table.
std::vector<Step> on(const CarryScope &scope, std::vector<Step> steps);

// In soak: the scope as it would be if the present columns were the old ones; as it was before
// cutover, for texts of then; whether something on the table or a partition reads present columns
// (as in Carried::columns).
CarryScope turned_round(const CarryScope &scope);
CarryScope as_before(CarryScope scope);
bool reads_present_columns(const CarryScope &scope, uint32_t relation, const std::string &columns);
// What `now` makes of a text that has changed since cutover, as far as can be told. Where it cannot
// (ZD004), and nobody has touched it, what was recorded.
Carried followed(const Carried *recorded, bool untouched, const std::function<Carried()> &now);

// The one of that name, among those of one carrier; null where there is none.
const Carried *same_named(const std::vector<Carried> &among, const std::string &object,
                          uint32_t related = 0);

inline Side other_side(Side side) {
    return side == Side::old_side ? Side::new_side : Side::old_side;
}

// Names before cutover, or from cutover on: what a definition is written for.
enum class Names { before, soak };

// One entry of pg_depend that hangs on an old column.
struct Dependent {
    uint32_t class_id = 0;
    uint32_t object = 0;
    int sub_object = 0;
    std::string description;  // pg_describe_object
    bool claimed = false;
};

// A constraint or an index of the table or of a partition.
struct Proof {
    uint32_t relation = 0;
    std::string name;
    bool is_index = false;
};

class Carrier {
  public:
    virtual const char *name() const = 0;

    // Order among carriers in put_on; the reverse in take_off.
    virtual int rank() const = 0;

    // Finds its objects on the old columns and claims their dependents. Raises ZD004 for what is of
    // its kind but cannot come along. Called at start (the new column may not exist yet), before
    // build and before cutover.
    virtual std::vector<Carried> find(const CarryScope &scope,
                                      std::vector<Dependent> &dependents) const = 0;

    // In soak: what is there now of this kind, as find() would find it before cutover. That is its
    // own of what was recorded, without what was dropped, and what has come or was changed since,
    // such as with a partition that was attached.
    virtual std::vector<Carried> find_in_soak(const CarryScope &, std::vector<Carried> own) const {
        return own;
    }

    // The partition that it is gone with where the table has that no more; 0: none, or something is
    // to be taken down there all the same.
    virtual uint32_t partition_with(const Carried &) const { return 0; }
    // The partition that it is about; 0: the table.
    virtual uint32_t partition_about(const Carried &carried) const {
        return partition_with(carried);
    }

    // The online steps that build the counterpart, in phase build.
    virtual std::vector<Step> prepare(const CarryScope &, const Carried &) const { return {}; }

    // The online steps that bring the counterpart up to date once more, just before cutover.
    virtual std::vector<Step> freshen(const CarryScope &, const Carried &) const { return {}; }

    // Has no counterpart: find() finds it on the columns that have the application's names, in soak
    // too; put on last, while the new side has the names that find() saw.
    virtual bool is_remade() const { return false; }

    // Its text names the columns as they were before cutover: put on while the new ones have those
    // names, which at a rename they borrow.
    virtual bool names_old_columns() const { return false; }

    // Under ACCESS EXCLUSIVE, milliseconds: catalog changes only.
    virtual void take_off(const CarryScope &scope, const Carried &carried, Side side) const = 0;
    virtual void put_on(const CarryScope &scope, const Carried &carried, Side side) const = 0;

    // Under the swap's lock and before anything of it: how many rows would not do on that side, as
    // an index tells at once; -1: there is no such index any more. A step of freshen or reinstate
    // built it, and says so where it fails.
    virtual int64_t count_misfits(const CarryScope &, const Carried &, Side) const { return 0; }

    // After all of them are put on, when every column has its name.
    virtual void settle(const CarryScope &, const Carried &, Side) const {}

    // The online steps that take down what prepare built, because the object has changed since.
    virtual std::vector<Step> withdraw(const CarryScope &, const Carried &) const { return {}; }

    // The online steps that make the old side fit to take over again, before revert.
    virtual std::vector<Step> reinstate(const CarryScope &, const Carried &) const { return {}; }

    // What reinstate() puts up to prove the old side, and could fail the application's writes: it
    // comes down where the revert does not take place.
    virtual std::optional<Proof> proof_of_old(const CarryScope &, const Carried &) const {
        return std::nullopt;
    }

    // The online steps that remove what is left of the old side, before contract drops its columns.
    virtual std::vector<Step> clean_up(const CarryScope &, const Carried &) const { return {}; }

    static const Carrier &find_carrier(const std::string &name);
    static std::vector<const Carrier *> all();  // by rank

  protected:
    Carrier() noexcept : next_(first_) { first_ = this; }
    ~Carrier() = default;

  private:
    const Carrier *next_;
    static const Carrier *first_;  // constant-initialised: safe before any constructor runs
};

// All that comes along, in order. Raises ZD004 naming what nobody can carry and what to do.
std::vector<Carried> find_carried(const CarryScope &scope);

// One on the old columns: it is left out of what find_carried gives, and found when it is finished.
// Whoever relies on having found all waits for that.
std::optional<HalfBuiltIndex> half_built_index(const CarryScope &scope);

// The remade ones among it, at any time.
std::vector<Carried> find_remade(const CarryScope &scope);

bool is_remade(const Carried &carried);

// Changes whenever anything that find_carried reads may have changed; cheap enough to look at under
// ACCESS EXCLUSIVE.
std::string fingerprint(const std::vector<CarryScope> &scopes);

// Acts on pg_depend's entries.
bool claim(std::vector<Dependent> &dependents, uint32_t class_id, uint32_t object);
constexpr uint32_t pg_class_id = 1259, pg_attrdef_id = 2604, pg_constraint_id = 2606,
                   pg_rewrite_id = 2618;

// Numbers of all columns that an object depends on, for Carried::columns.
std::string columns_of(uint32_t class_id, uint32_t object);

// An expression of the catalog that reads old columns, as it must be with the columns of that side
// under those names. Paired columns only. Raises ZD004 naming the object where the new types do not
// fit the expression.
struct Generated {
    uint32_t relation = 0;  // the migration's table, or a partition of it
    int attnum = 0;         // of the column whose values it gives
};
std::string rebound(const CarryScope &scope, const std::string &expression, Side side, Names names,
                    const std::string &object, const Generated &generated = {});

// In soak: whether an expression of before cutover gives this one over the present columns. Where
// that cannot be said of them any more, it does not.
bool gives_in_soak(const CarryScope &scope, const std::string &expression,
                   const std::string &present, const std::string &object,
                   const Generated &generated);

// Of a pair, which is named by its old column's name before cutover: the column of that side under
// its name of this moment, ready for SQL. Raises 42703 for any other name.
Identifier column_of(const CarryScope &scope, Side side, const std::string &old_column);

// The position of the pair whose old column has that name at this moment; empty for other columns.
std::optional<size_t> pair_at(const CarryScope &scope, const std::string &column);

const MappedColumn &column_at(const CarryScope &scope, Side side, size_t pair);
const std::string &name_of(const MappedColumn &column, Names names);

// The step that takes down a constraint which another one was to be proved by.
Step drop_constraint_step(const CarryScope &scope, Phase phase, const std::string &constraint);

// "cannot change column a of public.t to bigint", for messages.
std::string described(const CarryScope &scope);

}  // namespace zdm
