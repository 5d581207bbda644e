// The views over a migration's columns, and what the columns' exchange means for each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "carry/carrier.hpp"

namespace zdm {

struct View {
    uint32_t oid = 0;
    uint32_t owner = 0;
    std::string name;  // quoted and schema-qualified
    std::vector<uint32_t> bases;
    bool direct = false;     // reads one of the columns itself
    bool recreated = false;  // has columns of other types then, so it is dropped and created anew;
                             // else CREATE OR REPLACE VIEW keeps it
};

// All that have to be made again, those that others read first. Without what is no view or belongs
// to a session. Raises ZD004 naming a view that cannot be made again, and why.
std::vector<View> views_over(const CarryScope &scope);

// The materialized views that read one of the columns themselves.
std::vector<View> materialized_views_over(const CarryScope &scope);

// Raises ZD004 for what hangs on a view (or materialized view) whose place another one takes, and
// is neither part of it nor one of those views that are recreated with it.
void require_free(const CarryScope &scope, const View &view, const std::vector<View> &views);

// Runs a CREATE [MATERIALIZED] VIEW or CREATE RULE that was written before the last swap of the
// pairs' names. numbers: exchanged_numbers() of then.
void create_exchanged(const std::string &statement, const std::string &numbers);
std::string exchanged_numbers(const CarryScope &scope);

// The migration's first table carries what reads several of them.
bool carries_views(const CarryScope &scope);

// Raises ZD004 where the table's owner may not act as the one of the object.
void require_role(const CarryScope &scope, uint32_t owner, const std::string &object);

}  // namespace zdm
