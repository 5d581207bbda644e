// The kinds of migration: each turns a request and the table's catalog entries into a draft. They
// raise at once for what cannot be done, and change nothing.
#pragma once

#include "kind/draft.hpp"

namespace zdm {

Draft draft_change_type(const Table &table, const std::string &column_name,
                        const std::string &new_type, const Text &forward, const Text &reverse,
                        bool cascade);

Draft draft_rename_column(const Table &table, const std::string &column_name,
                          const std::string &new_name);

// old_columns: names; new_columns: "name type"; one forward per new column, one reverse per old
// one.
Draft draft_replace_columns(const Table &table, const std::vector<std::string> &old_columns,
                            const std::vector<std::string> &new_columns,
                            const std::vector<Text> &forward, const std::vector<Text> &reverse);

// The table that a CREATE INDEX statement names. 42601, 42P01.
uint32_t table_of_index_statement(const std::string &statement);
Draft draft_create_index(const Table &table, const std::string &statement);

// The table of an index. 42704, 42809 (no index).
uint32_t table_of_index(uint32_t index);
Draft draft_drop_index(const Table &table, uint32_t index);

Draft draft_add_column(const Table &table, const std::string &column_name,
                       const std::string &column_type, const Text &value, bool not_null,
                       const Text &column_default);
Draft draft_set_not_null(const Table &table, const std::string &column_name, const Text &value);
Draft draft_drop_column(const Table &table, const std::string &column_name);

// new_table: name (beside the source) or schema.name.
Draft draft_split_table(const Table &table, const std::string &new_table,
                        const std::vector<std::string> &columns);

// definition: what stands behind ADD CONSTRAINT name.
Draft draft_add_constraint(const Table &table, const std::string &constraint_name,
                           const std::string &definition);

}  // namespace zdm
