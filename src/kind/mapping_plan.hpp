// What the three kinds that map columns to columns have in common.
#pragma once

#include "kind/draft.hpp"

namespace zdm {

// An expression that a user gave, or "" for none, in canonical form.
struct ExpressionRequest {
    std::string text;
    std::vector<ZdmColumn> columns;  // those that $1, $2 ... stand for, in order
    ZdmType target;
    bool explicit_cast = false;
};
ZdmExpression canonical(const Table &table, const ExpressionRequest &request);

ZdmType column_type(const Column &column);
ZdmColumn parameter(const std::string &name, const ZdmType &type);

// A type for a new column: parsed, no pseudo-type, no domain with constraints (42704, 0A000,
// ZD004). canonical: the text is zdm's own, not a user's.
ZdmType new_column_type(const Table &table, const std::string &text, bool canonical = false);

// expand, backfill, survey, and whatever follows from what hangs on the columns. Raises ZD004.
// Fills zdm.carried and zdm.step for a migration that was just inserted, with its tables and
// mappings.
void plan_mapping(const Migration &migration);

}  // namespace zdm
