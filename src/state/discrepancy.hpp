// Rows whose two sides are not consistent: zdm.discrepancy. User data, seen by the table's owner.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pg/bridge.h"
#include "state/migration.hpp"

namespace zdm {

struct OpenDiscrepancy {
    std::string row_id;  // ctid of the row of zdm.discrepancy
    uint32_t relation;
    std::string key;  // jsonb: primary key columns, or {"ctid": "(0,1)"}
};

void insert_discrepancies(const Migration &migration, uint32_t relation,
                          const ZdmVerifyReport &report);
// found: a jsonb array of objects with class, key, expected_value and actual_value; the first limit
// of them are written.
void insert_listed_discrepancies(const Migration &migration, uint32_t relation,
                                 const std::string &found, int limit);
// A row that stands against a constraint: class error.
void insert_violation(const Migration &migration, uint32_t relation, const std::string &key,
                      const std::string &expected, const Text &actual);
// A new pass sees for itself: what earlier ones found is closed.
void resolve_discrepancies(const Migration &migration);
void resolve_discrepancy(const std::string &row_id);
std::vector<OpenDiscrepancy> open_discrepancies(const Migration &migration);

}  // namespace zdm
