// Rows in words, for zdm.discrepancy. Hot path rules, but off the hot path: only for rows that
// differ.
#pragma once

#include "hot/sync_program.hpp"

namespace zdm {

// jsonb text of the primary key's columns, or {"ctid": "(0,1)"} without one.
char *describe_key(Relation relation, TupleTableSlot *row, ItemPointer place);

// The side's value as text: of one column its output, of several a row literal. NULL where all of
// it is NULL. values NULL: what the row has.
char *describe_side(const SyncSide &side, TupleTableSlot *row, const Datum *values,
                    const bool *nulls);

}  // namespace zdm
