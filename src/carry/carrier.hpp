// Everything that hangs on an old column comes along at cutover: one small carrier for each kind of
// object. Add one: write src/carry/<object>.cpp with a subclass and one static instance of it.
//
// A carrier finds its objects by pg_depend and claims them; what depends on a column and nobody
// claims is refused at start (ZD004), so nothing is forgotten in silence. The counterpart is built
// online in phase build. Cutover is, in one transaction under ACCESS EXCLUSIVE: every carrier's
// take_off(old) in reverse order, the renames of the columns, every carrier's put_on(new) in order.
// Revert is the same with the sides exchanged, after reinstate() has made the old side fit again.
#pragma once

#include <string>
#include <vector>

#include "state/carried.hpp"
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

    const MappedColumn &old_column() const { return mapping.old_columns.at(0); }
    const MappedColumn &new_column() const { return mapping.new_columns.at(0); }
};

CarryScope carry_scope(const Migration &migration, const Mapping &mapping);

enum class Side { old_side, new_side };

// One entry of pg_depend that hangs on an old column.
struct Dependent {
    uint32_t class_id = 0;
    uint32_t object = 0;
    int sub_object = 0;
    std::string description;  // pg_describe_object
    bool claimed = false;
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

    // The online steps that build the counterpart, in phase build.
    virtual std::vector<Step> prepare(const CarryScope &, const Carried &) const { return {}; }

    // Under ACCESS EXCLUSIVE, milliseconds: catalog changes only.
    virtual void take_off(const CarryScope &scope, const Carried &carried, Side side) const = 0;
    virtual void put_on(const CarryScope &scope, const Carried &carried, Side side) const = 0;

    // The online steps that make the old side fit to take over again, before revert.
    virtual std::vector<Step> reinstate(const CarryScope &, const Carried &) const { return {}; }

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

// Changes whenever anything that find_carried reads may have changed; cheap enough to look at under
// ACCESS EXCLUSIVE.
std::string fingerprint(const CarryScope &scope);

// Acts on pg_depend's entries.
bool claim(std::vector<Dependent> &dependents, uint32_t class_id, uint32_t object);
constexpr uint32_t pg_class_id = 1259, pg_attrdef_id = 2604, pg_constraint_id = 2606;

// An expression of the catalog that reads the old column, as it must be with the column of that
// side under that name. Raises ZD004 naming the object where the new type does not fit the
// expression.
std::string rebound(const CarryScope &scope, const std::string &expression, Side side,
                    const std::string &column_name, const std::string &object);

// A column of the pair under its name of this moment, ready for SQL.
Identifier column_of(const CarryScope &scope, Side side);

}  // namespace zdm
