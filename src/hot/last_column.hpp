// A value of fixed length at the very end of a row: found and added without taking the row apart.
// A column that a migration has added is there in every row of most tables, behind columns whose
// lengths only a walk over the row tells.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

#include "hot/sync_program.hpp"

extern "C" {
#include "access/htup_details.h"
}

namespace zdm {

inline bool is_null_in(HeapTuple row, const SyncColumn &column, TupleDesc descriptor) {
    return heap_attisnull(row, column.attnum, descriptor);
}

// Whether the row ends with the column's value.
inline bool ends_with(HeapTuple row, const SyncColumn &column) {
    return column.by_value && HeapTupleHeaderGetNatts(row->t_data) == column.attnum &&
           !(HeapTupleHasNulls(row) && att_isnull(column.attnum - 1, row->t_data->t_bits));
}

// Of a row that ends with it.
inline Datum last_value(HeapTuple row, const SyncColumn &column) {
    const char *end = reinterpret_cast<const char *>(row->t_data) + row->t_len;
    return fetch_att(end - column.length, true, column.length);
}

// Whether the column is the table's last and NULL in the row, which has all of the table's columns.
inline bool can_append(HeapTuple row, const SyncColumn &column, TupleDesc descriptor) {
    return column.by_value && column.attnum == descriptor->natts &&
           HeapTupleHeaderGetNatts(row->t_data) == descriptor->natts && HeapTupleHasNulls(row) &&
           att_isnull(column.attnum - 1, row->t_data->t_bits);
}

// What heap_form_tuple would make of it.
HeapTuple append_value(HeapTuple row, const SyncColumn &column, TupleDesc descriptor, Datum value);

}  // namespace zdm
