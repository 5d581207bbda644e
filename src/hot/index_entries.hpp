// Index entries of rows that moved to another page, made index by index in key order.
//
// Row by row, each entry dirties another leaf of each index and finds it cold again; in key order
// neighbours share a leaf. A row's keys have not changed, so no uniqueness needs checking: who
// inserts the same key meanwhile meets the old version, which is being updated by us, and waits for
// our end. An index that somebody made on a new column is different: there the keys are new and are
// checked.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"
}

namespace zdm {

struct DeadEntries;

struct MovedRows {
    MemoryContext context;  // of the rows; gone with the box
    int count;
    int room;
    HeapTuple *rows;    // t_self is where they are now
    BlockNumber *from;  // where they were
    bool among_dead;    // transactions before this one have left dead entries next to theirs
    DeadEntries *dead;  // what they leave is to be marked before the next pass; else NULL
};

void moved_rows_begin(MovedRows *moved, MemoryContext context);
// Takes the tuple, which lives in the context.
void moved_rows_add(MovedRows *moved, HeapTuple row, BlockNumber from);

// Makes all entries. indexes: opened by ExecOpenIndices. filled: attribute numbers (without offset)
// that have new values. only_summaries: rows that stayed on their page (see zdm_heap_update).
void moved_rows_index(MovedRows *moved, ResultRelInfo *indexes, EState *estate,
                      TupleTableSlot *slot, const Bitmapset *filled, bool only_summaries);

}  // namespace zdm
