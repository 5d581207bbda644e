// See page.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/page.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/multixact.h"
#include "access/xact.h"
#include "storage/bufpage.h"
#include "storage/procarray.h"
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
    rows->free_line_pointers = Max(0, static_cast<int>(MaxHeapTuplesPerPage) - last);
    rows->prune_xid = reinterpret_cast<PageHeader>(page)->pd_prune_xid;
    for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++) {
        ItemId item = PageGetItemId(page, offset);
        if (!ItemIdIsNormal(item)) {
            if (!ItemIdIsUsed(item)) rows->free_line_pointers++;
            continue;
        }
        HeapTupleData tuple = row_at(relation, buffer, block, offset);
        if (HeapTupleSatisfiesVisibility(&tuple, snapshot, buffer))
            rows->offsets[rows->count++] = offset;
    }
    LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

// xmax and the bits that tell what it is are read under the page's lock: between two unlocked reads
// somebody may put a transaction where a multixact was, and asking for that one's members is an
// error.
bool is_held(Buffer buffer, const HeapTuple tuple) {
    const HeapTupleHeader header = tuple->t_data;
    if (header->t_infomask & HEAP_XMAX_INVALID) return false;
    LockBuffer(buffer, BUFFER_LOCK_SHARE);
    const uint16 infomask = header->t_infomask;
    const TransactionId xmax = HeapTupleHeaderGetRawXmax(header);
    LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
    if ((infomask & HEAP_XMAX_INVALID) || !TransactionIdIsValid(xmax)) return false;
    if (infomask & HEAP_XMAX_IS_MULTI)
        return !HEAP_LOCKED_UPGRADED(infomask) &&
               MultiXactIdIsRunning(xmax, HEAP_XMAX_IS_LOCKED_ONLY(infomask));
    return !TransactionIdIsCurrentTransactionId(xmax) && TransactionIdIsInProgress(xmax);
}

}  // namespace zdm
