// Reading a page's rows in place. Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
#include "access/htup_details.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
}

namespace zdm {

struct PageRows {
    int count;
    OffsetNumber offsets[MaxHeapTuplesPerPage];  // of the rows that the snapshot sees
    Size free_space;                             // for a new tuple, beside its line pointer
    int free_line_pointers;                      // that a new version may take
    TransactionId prune_xid;  // the oldest that may have left something to prune; invalid: none has
};

// Lists the visible rows of a pinned page under its share lock, which it takes and releases. With
// the pin held their bytes stay where they are: compacting a page needs a cleanup lock.
void list_visible_rows(Relation relation, Buffer buffer, BlockNumber block, Snapshot snapshot,
                       PageRows *rows);

// A row of a pinned page as a tuple that points into the page.
HeapTupleData row_at(Relation relation, Buffer buffer, BlockNumber block, OffsetNumber offset);

// Whether a transaction that still runs has locked, updated or deleted the row. A moment's answer.
bool is_held(Buffer buffer, const HeapTuple tuple);

}  // namespace zdm
