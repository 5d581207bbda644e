// A row's next version: the same row with some columns filled.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
#include "access/tupdesc.h"
}

namespace zdm {

// As heap_modify_tuple_by_cols, but only for heap_update: it is no composite value. The usual case,
// columns at the row's end that are still NULL, copies the row's bytes and appends the values
// instead of taking the row apart and putting it together again: about a third of the time, and
// less still for wide rows. attnums: ascending or not.
HeapTuple next_tuple(HeapTuple tuple, TupleDesc descriptor, int count, const int *attnums,
                     const Datum *values, const bool *nulls);

}  // namespace zdm
