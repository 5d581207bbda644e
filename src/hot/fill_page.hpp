// The backfill of one page: as many rows as it has room for get their new version in place, a few
// are moved elsewhere. What a box is, and when pages are visited again, is in backfill.cpp.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

#include "hot/dead_entries.hpp"
#include "hot/index_entries.hpp"
#include "hot/page_progress.hpp"
#include "hot/spare_room.hpp"
#include "hot/sync_program.hpp"

extern "C" {
#include "nodes/execnodes.h"
#include "nodes/lockoptions.h"
#include "utils/snapshot.h"
}

namespace zdm {

// What one time box works with; its memory goes when the box ends.
struct FillBox {
    Relation relation;
    SyncProgram *program;
    Snapshot snapshot;
    CommandId command;
    EState *estate;
    ResultRelInfo *indexes;
    TupleTableSlot *row;
    TupleTableSlot *index_slot;
    MemoryContext memory;       // of the box: rows that owe index entries
    MemoryContext page_memory;  // of one page
    MovedRows moved;
    MovedRows summarized;     // stayed on their page, but a summarizing index reads a new column
    Bitmapset *filled;        // the new columns' attribute numbers
    LockTupleMode lock_mode;  // that writing them needs
    bool check_constraints;
    int *attnums;
    Datum *values;
    bool *nulls;
    SpareRoom *spare_room;  // of the window; lives longer than the box
    LoweredFillfactor lowered_fillfactor;

    int64 rows_hot;
    int64 rows_moved;
    int64 rows_failed;
    int64 rows_busy;

    int pass;                   // over the window, from 0
    bool any_awaits_turn;       // of the pages: rows may leave it in a later pass
    DeadEntries *dead_entries;  // of the window; lives longer than the box
};

// Opens the table's indexes. The caller holds ROW EXCLUSIVE and has an active snapshot.
void fill_box_open(FillBox *box, Relation relation, SyncProgram *program, SpareRoom *spare_room);
// Makes the index entries that the box still owes.
void fill_box_close(FillBox *box);

// Before the first row leaves a page of a window: how much room its pages have.
void survey_room(FillBox *box, BlockNumber start, BlockNumber end);

// A page without room gets some by moving a few of its rows out. move_out: move whatever does not
// fit.
//
// Every visit that leaves rows to do has written one, or the page's turn is yet to come, or it is
// yet to be pruned, which happens as soon as no snapshot sees any more what there is to prune.
void fill_page(FillBox *box, BlockNumber block, PageProgress *progress, bool first_visit,
               bool move_out);

}  // namespace zdm
