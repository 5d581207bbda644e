// See next_tuple.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
//
// A tuple's data begins at a MAXALIGN boundary and each value is aligned relative to that, so data
// may be copied behind a header of another length (a null bitmap that appears, grows or goes) and
// every value in it keeps its place. What is appended is laid out as heap_fill_tuple
// (access/common/heaptuple.c) does, short varlena headers included, so that what is stored is byte
// for byte what heap_form_tuple would give. The header has no identity of a composite value: how
// the server marks those differs even between minor versions, and heap_update writes over it.
#include "hot/next_tuple.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_type.h"
}

namespace zdm {

namespace {

constexpr int most_appended = 8;

// What is to be appended, in the order of the columns.
struct Appended {
    int count;
    AttrNumber attnums[most_appended];
    Datum values[most_appended];
};

bool is_null_in(HeapTuple tuple, AttrNumber attnum) {
    return attnum > HeapTupleHeaderGetNatts(tuple->t_data) ||
           (HeapTupleHasNulls(tuple) && att_isnull(attnum - 1, tuple->t_data->t_bits));
}

bool can_be_appended(Form_pg_attribute attribute, Datum value) {
    if (attribute->attlen == -1) return !VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value));
    return attribute->attlen > 0;
}

// False where the columns are not all NULL now, or have a value behind them.
bool list_appended(HeapTuple tuple, TupleDesc descriptor, int count, const int *attnums,
                   const Datum *values, const bool *nulls, Appended *appended) {
    if (count > most_appended) return false;
    appended->count = 0;
    for (int i = 0; i < count; i++) {
        if (!is_null_in(tuple, attnums[i])) return false;
        if (nulls[i]) continue;
        if (!can_be_appended(TupleDescAttr(descriptor, attnums[i] - 1), values[i])) return false;
        int at = appended->count++;
        for (; at > 0 && appended->attnums[at - 1] > attnums[i]; at--) {
            appended->attnums[at] = appended->attnums[at - 1];
            appended->values[at] = appended->values[at - 1];
        }
        appended->attnums[at] = static_cast<AttrNumber>(attnums[i]);
        appended->values[at] = values[i];
    }
    if (appended->count == 0) return false;
    const int stored = HeapTupleHeaderGetNatts(tuple->t_data);
    for (AttrNumber attnum = appended->attnums[0] + 1; attnum <= stored; attnum++)
        if (!is_null_in(tuple, attnum)) return false;
    // A column that was added with a default has a value in rows that do not store it.
    for (int i = stored; i < descriptor->natts; i++)
        if (TupleDescAttr(descriptor, i)->atthasmissing) return false;
    return true;
}

bool packs(Form_pg_attribute attribute, Pointer value) {
    return attribute->attstorage != TYPSTORAGE_PLAIN && VARATT_CAN_MAKE_SHORT(value);
}

bool is_unaligned(Form_pg_attribute attribute, Pointer value) {
    return VARATT_IS_EXTERNAL(value) || VARATT_IS_SHORT(value) || packs(attribute, value);
}

// Where the value begins, and where it ends, if the data ends at offset now.
Size begin_of(Form_pg_attribute attribute, Datum value, Size offset) {
    if (attribute->attlen == -1 && is_unaligned(attribute, DatumGetPointer(value))) return offset;
    return att_align_nominal(offset, attribute->attalign);
}

Size length_of(Form_pg_attribute attribute, Datum value) {
    if (attribute->attlen > 0) return attribute->attlen;
    Pointer pointer = DatumGetPointer(value);
    return packs(attribute, pointer) ? VARATT_CONVERTED_SHORT_SIZE(pointer) : VARSIZE_ANY(pointer);
}

void store(Form_pg_attribute attribute, Datum value, char *place, Size length, uint16 *infomask) {
    if (attribute->attbyval) {
        store_att_byval(place, value, attribute->attlen);
        return;
    }
    Pointer pointer = DatumGetPointer(value);
    if (attribute->attlen == -1) {
        *infomask |= HEAP_HASVARWIDTH;
        if (VARATT_IS_EXTERNAL(pointer)) *infomask |= HEAP_HASEXTERNAL;
        if (!VARATT_IS_EXTERNAL(pointer) && !VARATT_IS_SHORT(pointer) &&
            packs(attribute, pointer)) {
            SET_VARSIZE_SHORT(place, length);
            memcpy(place + 1, VARDATA(pointer), length - 1);
            return;
        }
    }
    memcpy(place, pointer, length);
}

// The columns that are NULL in the result, as a null bitmap; false where there is none.
bool make_bitmap(HeapTuple tuple, int natts, const Appended &appended, uint8 *bitmap) {
    const int stored = HeapTupleHeaderGetNatts(tuple->t_data);
    const int bytes = BITMAPLEN(natts);
    memset(bitmap, 0, bytes);
    if (HeapTupleHasNulls(tuple))
        memcpy(bitmap, tuple->t_data->t_bits, BITMAPLEN(stored));
    else
        for (int i = 0; i < stored; i++) bitmap[i >> 3] |= 1 << (i & 7);
    for (int i = 0; i < appended.count; i++) {
        const int index = appended.attnums[i] - 1;
        bitmap[index >> 3] |= 1 << (index & 7);
    }
    for (int i = 0; i < natts; i++)
        if (att_isnull(i, bitmap)) return true;
    return false;
}

HeapTuple append(HeapTuple tuple, TupleDesc descriptor, const Appended &appended) {
    const int natts = descriptor->natts;
    uint8 bitmap[BITMAPLEN(MaxHeapAttributeNumber)];
    const bool has_nulls = make_bitmap(tuple, natts, appended, bitmap);
    const Size old_start = tuple->t_data->t_hoff;
    const Size start = MAXALIGN(SizeofHeapTupleHeader + (has_nulls ? BITMAPLEN(natts) : 0));
    const Size old_length = tuple->t_len - old_start;
    Size length = old_length;
    for (int i = 0; i < appended.count; i++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, appended.attnums[i] - 1);
        length = begin_of(attribute, appended.values[i], length) +
                 length_of(attribute, appended.values[i]);
    }

    auto *result = static_cast<HeapTuple>(palloc0(HEAPTUPLESIZE + start + length));
    result->t_len = start + length;
    result->t_self = tuple->t_self;
    result->t_tableOid = tuple->t_tableOid;
    HeapTupleHeader header = result->t_data =
        reinterpret_cast<HeapTupleHeader>(reinterpret_cast<char *>(result) + HEAPTUPLESIZE);
    header->t_hoff = start;
    HeapTupleHeaderSetNatts(header, natts);
    header->t_infomask = (tuple->t_data->t_infomask & (HEAP_HASVARWIDTH | HEAP_HASEXTERNAL)) |
                         (has_nulls ? HEAP_HASNULL : 0);
    if (has_nulls) memcpy(header->t_bits, bitmap, BITMAPLEN(natts));

    char *data = reinterpret_cast<char *>(header) + start;
    memcpy(data, reinterpret_cast<char *>(tuple->t_data) + old_start, old_length);
    Size end = old_length;
    for (int i = 0; i < appended.count; i++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, appended.attnums[i] - 1);
        const Size begin = begin_of(attribute, appended.values[i], end);
        const Size value_length = length_of(attribute, appended.values[i]);
        store(attribute, appended.values[i], data + begin, value_length, &header->t_infomask);
        end = begin + value_length;
    }
    return result;
}

}  // namespace

HeapTuple next_tuple(HeapTuple tuple, TupleDesc descriptor, int count, const int *attnums,
                     const Datum *values, const bool *nulls) {
    Appended appended;
    if (list_appended(tuple, descriptor, count, attnums, values, nulls, &appended))
        return append(tuple, descriptor, appended);
    return heap_modify_tuple_by_cols(tuple, descriptor, count, const_cast<int *>(attnums),
                                     const_cast<Datum *>(values), const_cast<bool *>(nulls));
}

}  // namespace zdm
