// See page.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/page.hpp"

extern "C" {
#include "access/heapam.h"
#include "storage/bufpage.h"
#include "storage/predicate.h"
}

namespace zdm {

HeapTupleData row_at(Relation relation, Buffer buffer, BlockNumber block, OffsetNumber offset) {
    Page page = BufferGetPage(buffer);
    ItemId item = PageGetItemId(page, offset);
    HeapTupleData tuple;
    tuple.t_data = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
    tuple.t_len = ItemIdGetLength(item);
    tuple.t_tableOid = RelationGetRelid(relation);
    ItemPointerSet(&tuple.t_self, block, offset);
    return tuple;
}

void list_visible_rows(Relation relation, Buffer buffer, BlockNumber block, Snapshot snapshot,
                       PageRows *rows) {
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    Page page = BufferGetPage(buffer);
    const OffsetNumber last = PageGetMaxOffsetNumber(page);
    rows->count = 0;
    rows->free_space = PageGetHeapFreeSpace(page);
    rows->line_pointers_used_up = last >= MaxHeapTuplesPerPage && rows->free_space == 0;
    for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++) {
        if (!ItemIdIsNormal(PageGetItemId(page, offset))) continue;
        HeapTupleData tuple = row_at(relation, buffer, block, offset);
        if (HeapTupleSatisfiesVisibility(&tuple, snapshot, buffer))
            rows->offsets[rows->count++] = offset;
    }
    LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

}  // namespace zdm
