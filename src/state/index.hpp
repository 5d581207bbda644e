// Indexes of a user's table as values: what there is, and the text that makes one.
//
// A stored CREATE INDEX statement is good for any table with the same columns (a partition, the
// table under another name): index_text() says it for that one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/sql.hpp"

namespace zdm {

struct Index {
    uint32_t oid = 0;
    uint32_t relation = 0;
    std::string name;
    std::string quoted;  // schema-qualified, for SQL
    bool valid = false;
    bool partitioned = false;
    bool attached = false;  // to a partitioned index
};

std::optional<Index> find_index(uint32_t relation, const std::string &name);
std::optional<Index> find_index(uint32_t oid);
std::vector<Index> indexes_of(uint32_t relation);

// Of that table or a partition of it: what the steps of an unfinished migration (create_index,
// add_constraint) have made and others cannot rely on yet: a partitioned one that is not valid
// before every partition has its own, one that is under a name of zdm's until it is finished.
struct HalfBuiltIndex {
    uint32_t oid = 0;
    uint32_t constraint = 0;  // that it backs; 0: none
    std::string migration;
    std::string state;  // of that migration
};
std::vector<HalfBuiltIndex> half_built_indexes(uint32_t relation);

// "schema.table" for SQL; empty where it is gone.
std::optional<std::string> quoted_relation(uint32_t relation);

enum class IndexBuild { plain, concurrently, only };

// CREATE INDEX for that table under that name. Raises what the server would raise for it.
std::string index_text(const std::string &statement, uint32_t relation, const std::string &name,
                       IndexBuild how);
std::string index_text(const ZdmIndexDefinition &definition, const std::string &table,
                       const std::string &name, IndexBuild how);

// All that makes it what it is, but for its name, its table and where it is stored.
std::string index_meaning(const ZdmIndexDefinition &definition);
std::string index_meaning(const std::string &statement, uint32_t relation);
std::string index_meaning(const Index &index);

}  // namespace zdm
