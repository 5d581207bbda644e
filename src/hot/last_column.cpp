#include "hot/hot.h"
#include "hot/last_column.hpp"

extern "C" {
#include "access/tupmacs.h"
}

namespace zdm {

namespace {

bool has_other_nulls(HeapTuple row, int attributes) {
    for (int i = 0; i < attributes - 1; i++)
        if (att_isnull(i, row->t_data->t_bits)) return true;
    return false;
}

}  // namespace

HeapTuple append_value(HeapTuple row, const SyncColumn &column, TupleDesc descriptor, Datum value) {
    const HeapTupleHeader before = row->t_data;
    const int attributes = descriptor->natts;
    const bool nulls = has_other_nulls(row, attributes);
    const Size header =
        MAXALIGN(SizeofHeapTupleHeader + (nulls ? (Size)BITMAPLEN(attributes) : (Size)0));
    const Size data = row->t_len - before->t_hoff;
    const Size at = att_align_nominal(data, TupleDescAttr(descriptor, column.attnum - 1)->attalign);
    const Size length = header + at + (Size)column.length;

    auto *result = static_cast<HeapTuple>(palloc0(HEAPTUPLESIZE + length));
    auto *after =
        reinterpret_cast<HeapTupleHeader>(reinterpret_cast<char *>(result) + HEAPTUPLESIZE);
    *result = *row;
    result->t_len = static_cast<uint32>(length);
    result->t_data = after;
    memcpy(after, before, SizeofHeapTupleHeader);
    HeapTupleHeaderSetDatumLength(after, length);
    after->t_hoff = static_cast<uint8>(header);
    if (nulls) {
        memcpy(after->t_bits, before->t_bits, BITMAPLEN(attributes));
        after->t_bits[(column.attnum - 1) >> 3] |= 1 << ((column.attnum - 1) & 7);
    } else
        after->t_infomask &= ~HEAP_HASNULL;
    char *values = reinterpret_cast<char *>(after) + header;
    memcpy(values, reinterpret_cast<char *>(before) + before->t_hoff, data);
    store_att_byval(values + at, value, column.length);
    return result;
}

}  // namespace zdm
