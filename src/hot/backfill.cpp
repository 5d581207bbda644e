// The in-place backfill of one heap.
//
// A naive UPDATE writes every row's new version to another page: every index gets an entry a row,
// and the table doubles. Here rows get their new version on their own page wherever there is room:
// a HOT update makes no index entry, and its WAL record is the difference only.
//
// Blocks are worked on in windows, a window in passes, each pass in transactions of its own:
//
//   every pass   a page is pruned of what the pass before has killed, and what room there is is
//                filled with rows in place; where that does not suffice for all that are left, a
//                few are moved to other pages, of wide rows from some of the pages in turn
//                (movers.hpp); until none is left
//   at the end   the free space is told to the free space map, so that the movers of the next
//                windows land here and not at the table's end
//
// Between two windows the caller may vacuum, which tells the free space map, too: in a window it
// would give room away that the rows next to it are waiting for.
//
// A pass of a window is meant to take about one time box: a smaller window would come back to a
// page before other backends' snapshots have let its dead versions go, a larger one holds more row
// locks. A box ends in time for the index entries that it owes: it counts them as work to be done.
//
// heap_update never waits for a row. One that somebody is writing is left for the next pass; a
// block that still has such rows after the last one goes on a list and is looked at again at the
// end of the range. A row that was updated meanwhile went through the sync trigger and is done.
//
// Where an old snapshot stands in the way, pruning gives nothing back: after two fruitless passes
// (no page awaits its turn any more) and a moment's patience the rest of the window is moved out,
// as a naive UPDATE would, unless the caller rather waits.
//
// So every box comes nearer to the end, or says in its report what it waits for: idle, an old
// snapshot (horizon_stuck), or rows that others hold (only_held_left).
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/breath.hpp"
#include "hot/elapsed.hpp"
#include "hot/fill_page.hpp"
#include "hot/hot.h"

extern "C" {
#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/spccache.h"
}

using namespace zdm;

namespace {

constexpr int smallest_window = 16;
constexpr int first_window = 64;
constexpr int largest_window = 16384;
constexpr int window_of_turns = 128;  // whose movers are enough to tell an index's order
// Of a range; in between the table is vacuumed. But few where each pass waits for others'
// snapshots.
constexpr int least_windows = 16;
constexpr int least_windows_waiting = 4;
constexpr int64 patience_us = 500000;  // as long as many a query runs

// See block_at.
constexpr BlockNumber stride = 16;

// Pages whose entries in the free space map are looked at in a box: less than a millisecond.
constexpr BlockNumber hidden_at_once = 4096;

// Until it has been measured: what a mover's entry in one index takes.
constexpr double first_guess_index_us = 2;

}  // namespace

struct ZdmBackfill {
    MemoryContext context;
    Oid relation;
    Oid relfilenode;
    int argument_count;
    char **arguments;
    SyncProgram *program;
    SpareRoom spare_room;
    BlockNumber hide_from;  // a VACUUM has told of the room of pages from here on
    DeadEntries dead_entries;

    BlockNumber end;           // of the range
    BlockNumber window_start;  // all blocks below are finished, but for the busy ones
    BlockNumber window_end;
    int window_pages;    // of the next window
    BlockNumber blocks;  // of the range, when it was begun
    bool publishing;     // the window's rows are done, its free space is not told yet
    int pass;
    BlockNumber next;        // in this pass: a position, see block_at
    BlockNumber prefetched;  // positions below it
    int fruitless;           // passes in a row that found work and could do none
    instr_time fruitless_since;
    int64 pass_rows;      // written in this pass
    int64 pass_rows_hot;  // of those, in place, where room had to come free first
    bool stuck;           // a window had to be moved out: an old snapshot exists
    PageProgress *pages;  // of the window
    int64 pass_us;        // time that this pass has taken
    double index_us;      // that a mover's index entries take

    int busy_count;
    int busy_room;
    uint32 *busy;
    int busy_next;       // while they are looked at again
    bool busy_progress;  // in this round over them
};

namespace {

struct Box {
    FillBox fill;
    ZdmBackfill *backfill;
    ZdmBackfillReport *report;
    instr_time start;
    int64 budget_us;
};

int64 elapsed_us(const Box *box) { return us_since(box->start); }

bool must_stop(Box *box) {
    CHECK_FOR_INTERRUPTS();
    breathe();
    if (somebody_waits()) {
        box->report->waited_for = true;
        return true;
    }
    const double owed_us = box->fill.moved.count * box->backfill->index_us;
    return elapsed_us(box) + owed_us >= box->budget_us;
}

void fill(Box *box, BlockNumber block, PageProgress *progress, bool first_visit, bool move_out) {
    const int64 hot = box->fill.rows_hot, moved = box->fill.rows_moved;
    fill_page(&box->fill, block, progress, first_visit, move_out);
    box->backfill->pass_rows += box->fill.rows_hot - hot + box->fill.rows_moved - moved;
    if (!first_visit && !move_out) box->backfill->pass_rows_hot += box->fill.rows_hot - hot;
}

void close_box(Box *box) {
    const int moved = box->fill.moved.count;
    const int64 began_us = elapsed_us(box);
    fill_box_close(&box->fill);
    if (moved > 0) {
        const double measured_us = static_cast<double>(elapsed_us(box) - began_us) / moved;
        box->backfill->index_us = (3 * box->backfill->index_us + measured_us) / 4;
    }
    box->report->rows_hot = box->fill.rows_hot;
    box->report->rows_moved = box->fill.rows_moved;
    box->report->rows_failed = box->fill.rows_failed;
    box->report->rows_busy = box->fill.rows_busy;
}

void begin_window(ZdmBackfill *backfill) {
    backfill->window_end =
        backfill->window_start + Min(static_cast<BlockNumber>(backfill->window_pages),
                                     backfill->end - backfill->window_start);
    backfill->next = backfill->window_start;
    backfill->prefetched = backfill->window_start;
    backfill->publishing = false;
    backfill->pass = 0;
    backfill->fruitless = 0;
    backfill->pass_rows = 0;
    backfill->pass_rows_hot = 0;
    backfill->pass_us = 0;
    memset(backfill->pages, 0, sizeof(PageProgress) * backfill->window_pages);
    dead_entries_forget(&backfill->dead_entries);
}

void remember_busy(ZdmBackfill *backfill, BlockNumber block) {
    if (backfill->busy_count == backfill->busy_room) {
        backfill->busy_room = Max(64, backfill->busy_room * 2);
        MemoryContext caller = MemoryContextSwitchTo(backfill->context);
        backfill->busy = static_cast<uint32 *>(
            backfill->busy ? repalloc(backfill->busy, sizeof(uint32) * backfill->busy_room)
                           : palloc(sizeof(uint32) * backfill->busy_room));
        MemoryContextSwitchTo(caller);
    }
    backfill->busy[backfill->busy_count++] = block;
}

// Tells the window's free space. True: of all of it. What the last pass has killed is pruned here,
// which is why this comes in a later transaction.
bool publish_free_space(Box *box) {
    ZdmBackfill *backfill = box->backfill;
    while (backfill->next < backfill->window_end) {
        const BlockNumber block = backfill->next++;
        Buffer buffer = ReadBuffer(box->fill.relation, block);
        heap_page_prune_opt(box->fill.relation, buffer);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Size free_space = PageGetHeapFreeSpace(BufferGetPage(buffer));
        UnlockReleaseBuffer(buffer);
        RecordPageWithFreeSpace(
            box->fill.relation, block,
            spare_room_told(&backfill->spare_room, &box->fill.lowered_fillfactor, free_space));
        if (must_stop(box)) return false;
    }
    FreeSpaceMapVacuumRange(box->fill.relation, backfill->window_start, backfill->window_end);
    return true;
}

// Some of it in each box: nothing waits for it, and what a run that ends early leaves is not worth
// beginning again.
void hide_spare_room(Box *box) {
    ZdmBackfill *backfill = box->backfill;
    const BlockNumber begin = backfill->hide_from;
    if (begin == InvalidBlockNumber || box->fill.lowered_fillfactor.to == 0) return;
    Relation relation = box->fill.relation;
    const BlockNumber blocks = RelationGetNumberOfBlocks(relation);
    const BlockNumber end = Min(blocks, begin + hidden_at_once);
    for (BlockNumber block = begin; block < end; block++)
        spare_room_hide(&backfill->spare_room, &box->fill.lowered_fillfactor, relation, block);
    FreeSpaceMapVacuumRange(relation, begin, end);
    backfill->hide_from = end < blocks ? end : InvalidBlockNumber;
}

void enlarge_window(ZdmBackfill *backfill, double times, int windows) {
    const int most =
        Min(largest_window, Max(first_window, static_cast<int>(backfill->blocks / windows)));
    if (backfill->window_pages < most)
        backfill->window_pages = Min(most, static_cast<int>(backfill->window_pages * times));
}

// See the top: a first pass is meant to last about a box, but as long as other snapshots live. One
// after which pages await their turn has done little of the work; and the smaller their window is,
// the sooner the next can use the room that is left on them.
void adapt_window(ZdmBackfill *backfill, int64 budget_us, bool awaits_turn) {
    if (awaits_turn)
        backfill->window_pages = window_of_turns;
    else if (backfill->pass_us > budget_us)
        backfill->window_pages = Max(smallest_window, backfill->window_pages * 3 / 4);
    else if (backfill->pass_us < budget_us / 2)
        enlarge_window(backfill, 1.5, least_windows);
}

void note_fruit(Box *box, bool left, bool awaits_turn) {
    ZdmBackfill *backfill = box->backfill;
    if (backfill->pass_rows_hot > 0) backfill->stuck = false;
    if (!left || backfill->pass_rows > 0 || awaits_turn) {
        backfill->fruitless = 0;
        return;
    }
    if (backfill->fruitless++ == 0) {
        INSTR_TIME_SET_CURRENT(backfill->fruitless_since);
        enlarge_window(backfill, 2, least_windows_waiting);
    }
    if (us_since(backfill->fruitless_since) > patience_us) backfill->stuck = true;
    box->report->idle = true;
}

// The end of a pass over the window. The next one must come in another transaction.
void end_pass(Box *box) {
    ZdmBackfill *backfill = box->backfill;
    const int pages = backfill->window_end - backfill->window_start;
    bool left = false, busy = false, awaits_turn = false;
    for (int i = 0; i < pages; i++) {
        left = left || backfill->pages[i].state == PageState::to_do;
        busy = busy || backfill->pages[i].state == PageState::busy;
        awaits_turn = awaits_turn || backfill->pages[i].turns > 0;
    }
    if (backfill->pass == 0) adapt_window(backfill, box->budget_us, awaits_turn);
    note_fruit(box, left, awaits_turn);
    backfill->pass_rows = 0;
    backfill->pass_rows_hot = 0;
    backfill->pass_us = 0;
    backfill->pass++;
    backfill->next = backfill->window_start;
    if (left) return;
    // Busy rows get one more look before the window ends.
    if (busy && backfill->pass < 2) return;

    for (int i = 0; i < pages; i++)
        if (backfill->pages[i].state == PageState::busy)
            remember_busy(backfill, backfill->window_start + i);
    backfill->publishing = true;
}

// Pruning goes by a horizon that the server computes anew only where its snapshot differs from the
// last one. While nobody writes it does not: what a short snapshot has held back would stay so, for
// as long as we write nothing because of it.
void refresh_horizon(Relation relation) { (void)GetOldestNonRemovableTransactionId(relation); }

// Which block comes at a position of a pass: every 16th, then those behind them, and so on. The
// rows that leave neighbouring pages so go to different pages. Else a leaf of an index in the order
// of the rows has more new entries for rows of one page than old ones, and when it is full it looks
// for dead entries there, finds none, and is split (bottomup_sort_and_shrink in heapam.c).
// Measured, rows of 60 bytes of which 17 % have to move: such an index grows by 0.4 %, instead of
// by 27 %.
BlockNumber block_at(const ZdmBackfill *backfill, BlockNumber position) {
    const BlockNumber pages = backfill->window_end - backfill->window_start;
    const BlockNumber column = pages / stride, longer = pages % stride;
    BlockNumber at = position - backfill->window_start;
    if (at < longer * (column + 1))
        at = at / (column + 1) + at % (column + 1) * stride;
    else {
        at -= longer * (column + 1);
        at = longer + at / column + at % column * stride;
    }
    return backfill->window_start + at;
}

// The kernel does not, in this order. As far as maintenance_io_concurrency lets any VACUUM.
void read_ahead(Box *box) {
    ZdmBackfill *backfill = box->backfill;
    Relation relation = box->fill.relation;
    const BlockNumber end =
        Min(backfill->window_end,
            backfill->next + 1 +
                get_tablespace_maintenance_io_concurrency(relation->rd_rel->reltablespace));
    backfill->prefetched = Max(backfill->prefetched, backfill->next + 1);
    while (backfill->prefetched < end)
        (void)PrefetchBuffer(relation, MAIN_FORKNUM, block_at(backfill, backfill->prefetched++));
}

// Works on the window until the box is over or a pass has ended: what it killed can only be pruned
// after a commit.
void work_on_window(Box *box, bool wait_for_horizon) {
    ZdmBackfill *backfill = box->backfill;
    if (backfill->publishing) {
        if (!publish_free_space(box)) return;
        backfill->window_start = backfill->window_end;
        begin_window(backfill);
        box->report->between_windows = true;
        return;
    }
    const int64 began_us = elapsed_us(box);
    if (backfill->next == backfill->window_start) {
        refresh_horizon(box->fill.relation);
        if (backfill->pass == 0)
            survey_room(&box->fill, backfill->window_start, backfill->window_end);
        else if (!backfill->stuck)
            dead_entries_mark(&backfill->dead_entries, box->fill.indexes, box->fill.snapshot,
                              backfill->window_start, backfill->window_end - backfill->window_start,
                              backfill->pages);
    }
    const bool move_out = backfill->stuck && backfill->fruitless > 0 && !wait_for_horizon;
    box->fill.moved.among_dead = backfill->pass > 0 && !move_out;
    while (backfill->next < backfill->window_end) {
        if (backfill->pass == 0) read_ahead(box);
        const BlockNumber block = block_at(backfill, backfill->next++);
        PageProgress *progress = &backfill->pages[block - backfill->window_start];
        if (progress->state != PageState::done)
            fill(box, block, progress, backfill->pass == 0, move_out);
        if (must_stop(box)) break;
    }
    backfill->pass_us += elapsed_us(box) - began_us;
    box->report->horizon_stuck = backfill->stuck;
    if (backfill->next >= backfill->window_end) end_pass(box);
}

// Blocks with rows that were being written when their window ended. One look at each a round; a
// round in which nothing could be done is the end of what can be done now.
void work_on_busy(Box *box) {
    ZdmBackfill *backfill = box->backfill;
    const int64 before = backfill->pass_rows;
    while (backfill->busy_next < backfill->busy_count) {
        const uint32 block = backfill->busy[backfill->busy_next];
        PageProgress progress = {};
        if (block < RelationGetNumberOfBlocks(box->fill.relation))
            fill(box, block, &progress, true, true);
        else
            progress.state = PageState::done;  // truncated away
        if (progress.state == PageState::done) {
            backfill->busy[backfill->busy_next] = backfill->busy[--backfill->busy_count];
            backfill->busy_progress = true;
        } else
            backfill->busy_next++;
        if (must_stop(box)) break;
    }
    backfill->busy_progress = backfill->busy_progress || backfill->pass_rows > before;
    if (backfill->busy_next < backfill->busy_count) return;
    box->report->only_held_left = backfill->busy_count > 0 && !backfill->busy_progress;
    backfill->busy_next = 0;
    backfill->busy_progress = false;
}

SyncProgram *current_program(ZdmBackfill *backfill, Relation relation) {
    if (backfill->program != nullptr && backfill->program->stale) {
        sync_program_free(backfill->program);
        backfill->program = nullptr;
    }
    if (backfill->program == nullptr)
        backfill->program =
            sync_program_build(relation, InvalidOid, backfill->argument_count, backfill->arguments);
    return backfill->program;
}

}  // namespace

extern "C" ZdmBackfill *zdm_hot_backfill_open(Oid relation, Oid relfilenode,
                                              ZdmSyncArguments arguments, uint32 next_block,
                                              uint32 end_block, int busy_block_count,
                                              const uint32 *busy_blocks) {
    MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "zdm backfill", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(context);
    auto *backfill = static_cast<ZdmBackfill *>(palloc0(sizeof(ZdmBackfill)));
    backfill->context = context;
    backfill->dead_entries.context =
        AllocSetContextCreate(context, "zdm dead entries", ALLOCSET_SMALL_SIZES);
    backfill->relation = relation;
    backfill->relfilenode = relfilenode;
    backfill->argument_count = arguments.count;
    backfill->arguments = static_cast<char **>(palloc(sizeof(char *) * arguments.count));
    for (int i = 0; i < arguments.count; i++) backfill->arguments[i] = pstrdup(arguments.values[i]);
    backfill->pages = static_cast<PageProgress *>(palloc0(sizeof(PageProgress) * largest_window));
    backfill->window_pages = first_window;
    backfill->blocks = end_block - Min(next_block, end_block);
    backfill->window_start = Min(next_block, end_block);
    backfill->end = end_block;
    // The table's own VACUUM, before the backfill.
    backfill->hide_from = next_block == 0 ? 0 : InvalidBlockNumber;
    MemoryContextSwitchTo(caller);
    for (int i = 0; i < busy_block_count; i++) remember_busy(backfill, busy_blocks[i]);
    begin_window(backfill);
    return backfill;
}

extern "C" void zdm_hot_backfill_vacuumed(ZdmBackfill *backfill) { backfill->hide_from = 0; }

extern "C" void zdm_hot_backfill_close(ZdmBackfill *backfill) {
    if (backfill == nullptr) return;
    if (backfill->program != nullptr) sync_program_free(backfill->program);
    MemoryContextDelete(backfill->context);
}

extern "C" void zdm_hot_backfill_run(ZdmBackfill *backfill, int64 budget_us, bool wait_for_horizon,
                                     ZdmBackfillReport *report) {
    MemSet(report, 0, sizeof(*report));
    // Whoever has the table exclusively may have it for long: step aside instead of queueing.
    if (!ConditionalLockRelationOid(backfill->relation, RowExclusiveLock))
        ereport(ERROR,
                (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                 errmsg("zdm: table with OID %u is locked exclusively", backfill->relation)));
    Relation relation = try_table_open(backfill->relation, NoLock);
    if (relation == nullptr || relation->rd_rel->relfilenode != backfill->relfilenode) {
        report->rewritten = true;
        if (relation != nullptr) table_close(relation, NoLock);
        return;
    }
    // As any UPDATE: without it a subscriber could not apply what we write.
    CheckCmdReplicaIdentity(relation, CMD_UPDATE);
    backfill->end = Min(backfill->end, RelationGetNumberOfBlocks(relation));
    backfill->window_end = Min(backfill->window_end, backfill->end);

    Box box = {};
    box.backfill = backfill;
    box.report = report;
    box.budget_us = budget_us;
    INSTR_TIME_SET_CURRENT(box.start);
    fill_box_open(&box.fill, relation, current_program(backfill, relation), &backfill->spare_room);
    box.fill.pass = backfill->pass;
    box.fill.dead_entries = &backfill->dead_entries;
    if (backfill->index_us <= 0)
        backfill->index_us = first_guess_index_us * box.fill.indexes->ri_NumIndices;
    if (backfill->window_start < backfill->end)
        work_on_window(&box, wait_for_horizon);
    else
        work_on_busy(&box);
    hide_spare_room(&box);
    close_box(&box);

    const bool filled = backfill->window_start >= backfill->end;
    report->first_unfinished_block =
        backfill->publishing ? backfill->window_end : backfill->window_start;
    report->done = filled && backfill->busy_count == 0;
    report->busy_block_count = backfill->busy_count;
    report->busy_blocks = backfill->busy;
    table_close(relation, NoLock);
}
