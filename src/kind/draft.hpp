// What a kind makes of a request: everything but the steps that need the migration's number.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "state/mapping.hpp"
#include "state/migration.hpp"
#include "state/step.hpp"

namespace zdm {

// A table that a request is about.
struct Table {
    uint32_t relation = 0;
    uint32_t owner = 0;
    std::string name;    // schema.table as people write it
    std::string quoted;  // for SQL
    std::string schema;  // quoted
    bool partitioned = false;
    std::string of_type;  // whose columns a typed table has (CREATE TABLE ... OF); "" = not typed
};

// First only what tells one request from another (a replay must not fail because its first call has
// succeeded), then complete() checks and works out the rest.
struct Draft {
    std::string kind;
    std::string object;      // last part of the default name
    std::string definition;  // canonical text of the request, to tell a replay from a conflict
    std::vector<std::string> columns;  // existing columns that it is about
    std::function<void(Draft &)> complete;
    Phase target = Phase::ready;
    Mapping mapping;                                 // empty where nothing is shadowed
    std::vector<std::pair<Table, Mapping>> further;  // the other tables of a closure of keys
    std::vector<Step> steps;                         // all steps of a kind without mapping
    std::function<std::vector<Step>(const Migration &)> plan;  // more, named by its number
    std::vector<std::string> warnings;  // for the caller, and kept in the event of the start
    std::vector<std::string> direct;    // zdm.mode = direct: the plain DDL, in order
    bool already_so = false;            // the table has the shape that is asked for
};

// Raises at once, and changes nothing, for what zdm does not work on: 42P01, 42501 (not the owner),
// ZD004 (naming why), 25006 on a standby. A change that concerns one table alone (an index) may be
// made to a partition, a member of an inheritance tree or a materialized view as well.
enum class Reach { whole_tree, one_table };
Table table_for_migration(uint32_t relation, Reach reach = Reach::whole_tree);

struct Column {
    std::string name;
    int attnum = 0;
    uint32_t type = 0;
    int32_t typmod = 0;
    uint32_t collation = 0;
    std::string type_name;
};

// Empty where the table has no such column.
std::optional<Column> find_column(const Table &table, const std::string &name);

// A column that may be shadowed. Raises 42703, or ZD004 for generated, identity and inherited ones
// and for what hangs on it outside of pg_depend (privileges, options).
Column column_for_migration(const Table &table, const std::string &name);

// Raises ZD004 for a typed table, whose columns are its type's alone: the server would refuse any
// other, when the worker comes to it.
void check_not_typed(const Table &table);

// A column that is to be added, or to get that name. Raises as check_not_typed does, 42701 where
// the table has that column already, 42622 where the name is too long.
void check_new_column_name(const Table &table, const std::string &name);

}  // namespace zdm
