// The in-place backfill of one heap.
//
// A naive UPDATE writes every row's new version to another page: every index gets an entry a row,
// and the table doubles. Here rows get their new version on their own page wherever there is room:
// a HOT update makes no index entry, and its WAL record is the difference only.
//
// Blocks are worked on in windows, a window in passes, each pass in transactions of its own:
//
//   first pass   every page is pruned; rows are filled in place while there is room, then a share
//   of
//                the rest is moved to other pages, which makes room
//   next passes  the versions that the pass before has killed are pruned away by now, and the room
//   is
//                filled with the next rows; until none is left
//   last pass    the free space is told to the free space map, so that the movers of the next
//   windows
//                land here and not at the table's end
//
// A pass of a window is meant to take about one time box: a smaller window would come back to a
// page before other backends' snapshots have let its dead versions go, a larger one holds more row
// locks.
//
// heap_update never waits (wait = false). A row that somebody is writing is left for the next pass;
// a block that still has such rows after the last one goes on a list and is looked at again at the
// end of the range. A row that was updated meanwhile went through the sync trigger and is done.
//
// Where an old snapshot stands in the way, pruning gives nothing back: after two fruitless passes
// the rest of the window is moved out, as a naive UPDATE would, unless the caller rather waits.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/hot.h"
#include "hot/index_entries.hpp"
#include "hot/page.hpp"
#include "hot/sync_program.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "portability/instr_time.h"
#include "storage/bufpage.h"
#include "storage/freespace.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pg/version.h"
}

using namespace zdm;

namespace {

constexpr int smallest_window = 16;
constexpr int largest_window = 16384;
constexpr int64 patience_us = 500000;  // as long as many a query runs

// Room that the first pass makes on a full page, as a share of it: the fewer movers, the fewer
// index entries, but the more passes.
constexpr double room_share = 0.14;

enum class PageState : uint8 { to_do, done, busy };

}  // namespace

struct ZdmBackfill {
    MemoryContext context;
    Oid relation;
    Oid relfilenode;
    int argument_count;
    char **arguments;
    SyncProgram *program;

    BlockNumber end;           // of the range
    BlockNumber window_start;  // all blocks below are finished, but for the busy ones
    BlockNumber window_end;
    int window_pages;  // of the next window
    int pass;
    BlockNumber next;  // in this pass
    int fruitless;     // passes in a row that found work and could do none
    instr_time fruitless_since;
    int64 pass_rows;   // written in this pass
    bool stuck;        // a window had to be moved out: an old snapshot exists
    PageState *pages;  // of the window
    int64 pass_us;     // time that this pass has taken

    int busy_count;
    int busy_room;
    uint32 *busy;
    int busy_next;  // while they are looked at again
};

namespace {

// What one box works with; its memory goes when the box ends.
struct Box {
    ZdmBackfill *backfill;
    Relation relation;
    SyncProgram *program;
    Snapshot snapshot;
    CommandId command;
    EState *estate;
    ResultRelInfo *indexes;
    TupleTableSlot *row;
    TupleTableSlot *index_slot;
    MemoryContext memory;  // of the box: tuples that moved
    MovedRows moved;
    bool check_constraints;
    int *attnums;
    Datum *values;
    bool *nulls;
    ZdmBackfillReport *report;
    instr_time start;
    int64 budget_us;
};

int64 us_since(instr_time start) {
    instr_time now;
    INSTR_TIME_SET_CURRENT(now);
    INSTR_TIME_SUBTRACT(now, start);
    return INSTR_TIME_GET_MICROSEC(now);
}

int64 elapsed_us(const Box *box) { return us_since(box->start); }

// Somebody waits for a row that we have written. (Who waits for the table itself cannot be asked
// for: our lock on it is a fast-path one, unknown to LockHasWaiters. The end of the box lets that
// one pass, and the next box asks for its lock without queueing.)
bool somebody_waits() {
    const TransactionId xid = GetTopTransactionIdIfAny();
    if (!TransactionIdIsValid(xid)) return false;
    LOCKTAG tag;
    SET_LOCKTAG_TRANSACTION(tag, xid);
    return LockHasWaiters(&tag, ExclusiveLock, false);
}

bool must_stop(Box *box) {
    CHECK_FOR_INTERRUPTS();
    if (somebody_waits()) {
        box->report->waited_for = true;
        return true;
    }
    return elapsed_us(box) >= box->budget_us;
}

// Constraints that read a new column: only somebody else can have made them so soon, but they hold.
bool constrained(Relation relation, const Bitmapset *filled) {
    TupleConstr *constraints = RelationGetDescr(relation)->constr;
    if (constraints == nullptr) return false;
    Bitmapset *read = nullptr;
    for (int i = 0; i < constraints->num_check; i++)
        pull_varattnos(static_cast<Node *>(stringToNode(constraints->check[i].ccbin)), 1, &read);
    int attnum = -1;
    while ((attnum = bms_next_member(filled, attnum)) >= 0)
        if (TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attnotnull ||
            bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, read))
            return true;
    return false;
}

Bitmapset *filled_columns(const SyncProgram *program) {
    Bitmapset *filled = nullptr;
    for (int i = 0; i < program->new_side.count; i++)
        filled = bms_add_member(filled, program->new_side.columns[i].attnum);
    return filled;
}

void open_box(Box *box) {
    Relation relation = box->relation;
    box->memory =
        AllocSetContextCreate(CurrentMemoryContext, "zdm backfill box", ALLOCSET_DEFAULT_SIZES);
    box->snapshot = GetActiveSnapshot();
    box->command = GetCurrentCommandId(true);
    box->estate = CreateExecutorState();

    RangeTblEntry *entry = makeNode(RangeTblEntry);
    entry->rtekind = RTE_RELATION;
    entry->relid = RelationGetRelid(relation);
    entry->relkind = relation->rd_rel->relkind;
    entry->rellockmode = RowExclusiveLock;
    zdm_init_range_table(box->estate, entry);
    box->indexes = makeNode(ResultRelInfo);
    InitResultRelInfo(box->indexes, relation, 1, nullptr, 0);
    ExecOpenIndices(box->indexes, false);

    box->row = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);
    box->index_slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsHeapTuple);
    moved_rows_begin(&box->moved, box->memory);
    box->check_constraints = constrained(relation, filled_columns(box->program));

    const int columns = box->program->most_columns();
    box->attnums = static_cast<int *>(palloc(sizeof(int) * columns));
    box->values = static_cast<Datum *>(palloc(sizeof(Datum) * columns));
    box->nulls = static_cast<bool *>(palloc(sizeof(bool) * columns));
    for (int i = 0; i < box->program->new_side.count; i++)
        box->attnums[i] = box->program->new_side.columns[i].attnum;
}

void close_box(Box *box) {
    moved_rows_index(&box->moved, box->indexes, box->estate, box->index_slot,
                     filled_columns(box->program));
    ExecCloseIndices(box->indexes);
    ExecDropSingleTupleTableSlot(box->row);
    ExecDropSingleTupleTableSlot(box->index_slot);
    FreeExecutorState(box->estate);
    MemoryContextDelete(box->memory);
}

// From the row's header alone, for most visits to most rows end here.
bool is_filled(const Box *box, HeapTuple tuple) {
    const SyncSide &side = box->program->new_side;
    for (int i = 0; i < side.count; i++)
        if (!heap_attisnull(tuple, side.columns[i].attnum, RelationGetDescr(box->relation)))
            return true;
    return false;
}

// The row's next version, or NULL where it needs none.
HeapTuple next_version(Box *box, HeapTuple tuple) {
    SyncProgram *program = box->program;
    const SyncSide &side = program->new_side;
    if (is_filled(box, tuple)) return nullptr;
    ExecStoreHeapTuple(tuple, box->row, false);
    sync_program_begin_row(program);
    if (!sync_evaluate(program, side, box->row, box->values, box->nulls, nullptr)) {
        box->report->rows_failed++;
        return nullptr;  // verify reports it
    }
    bool all_null = true;
    for (int i = 0; i < side.count; i++) all_null = all_null && box->nulls[i];
    if (all_null) return nullptr;
    return heap_modify_tuple_by_cols(tuple, RelationGetDescr(box->relation), side.count,
                                     box->attnums, box->values, box->nulls);
}

// What the new version takes on a page. heap_update toasts what is larger than the target.
Size space_of(const HeapTuple tuple) {
    const Size length = MAXALIGN(tuple->t_len);
    return (length > TOAST_TUPLE_THRESHOLD ? MAXALIGN(TOAST_TUPLE_TARGET) : length) +
           sizeof(ItemIdData);
}

// False: somebody is writing the row.
bool write_version(Box *box, ItemPointerData place, HeapTuple version) {
    if (box->check_constraints) {
        ExecForceStoreHeapTuple(version, box->index_slot, false);
        ExecConstraints(box->indexes, box->index_slot, box->estate);
        ExecClearTuple(box->index_slot);
    }
    TM_FailureData failure;
    // In a server built with assertions heap_update refuses to be asked about a row that is being
    // modified (its comment on the "no wait" case); xmax was looked at under the page's lock just
    // before, so that is a narrow race there and harmless in production.
    const TM_Result result =
        zdm_heap_update(box->relation, &place, version, box->command, false, &failure);
    if (result == TM_BeingModified) return false;
    if (result != TM_Ok) return true;  // written by somebody, through the trigger; or deleted
    box->backfill->pass_rows++;
    if (HeapTupleIsHeapOnly(version))
        box->report->rows_hot++;
    else {
        box->report->rows_moved++;
        MemoryContext caller = MemoryContextSwitchTo(box->memory);
        moved_rows_add(&box->moved, version);
        MemoryContextSwitchTo(caller);
    }
    return true;
}

// Somebody holds the row: locked, or being updated or deleted by a transaction that still runs.
bool is_held(const HeapTuple tuple) {
    const HeapTupleHeader header = tuple->t_data;
    if (header->t_infomask & HEAP_XMAX_INVALID) return false;
    const TransactionId xmax = HeapTupleHeaderGetRawXmax(header);
    if (header->t_infomask & HEAP_XMAX_IS_MULTI)
        return MultiXactIdIsRunning(xmax, HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask));
    return TransactionIdIsValid(xmax) && !TransactionIdIsCurrentTransactionId(xmax) &&
           TransactionIdIsInProgress(xmax);
}

// Rows that may leave a full page in the first pass so that the next passes have room: the least
// that the growth of all its rows demands, but enough to work with.
int movers_allowed(const PageRows &rows, Size row_space, Size growth) {
    const Size usable = BLCKSZ - SizeOfPageHeaderData;
    const Size wanted =
        Max(static_cast<Size>(usable * room_share), rows.count * growth + row_space);
    if (rows.free_space >= wanted) return 0;
    return Max(1, static_cast<int>((wanted - rows.free_space + row_space - 1) / row_space));
}

PageState work_on_page(Box *box, BlockNumber block, bool move_out) {
    ZdmBackfill *backfill = box->backfill;
    Buffer buffer = ReadBuffer(box->relation, block);
    PageRows rows;
    heap_page_prune_opt(box->relation, buffer);
    list_visible_rows(box->relation, buffer, block, box->snapshot, &rows);

    int movers = -1;  // not known before the first row's size is
    bool left = false, busy = false;
    MemoryContext caller = MemoryContextSwitchTo(box->memory);
    for (int i = 0; i < rows.count; i++) {
        HeapTupleData tuple = row_at(box->relation, buffer, block, rows.offsets[i]);
        HeapTuple version = next_version(box, &tuple);
        if (version == nullptr) continue;
        const Size space = space_of(version);
        if (movers < 0) {
            const Size growth = space > MAXALIGN(tuple.t_len) + sizeof(ItemIdData)
                                    ? space - MAXALIGN(tuple.t_len) - sizeof(ItemIdData)
                                    : 0;
            movers = move_out              ? rows.count
                     : backfill->pass == 0 ? movers_allowed(rows, space, growth)
                     // Nothing can come free on it any more: two line pointers a row are used up.
                     : rows.line_pointers_used_up ? rows.count
                                                  : 0;
        }
        const bool fits = rows.free_space + sizeof(ItemIdData) >= space;
        if (!fits && movers == 0) {
            // The rows behind it have about the same size, and their turn comes in a later pass.
            left = true;
            heap_freetuple(version);
            break;
        }
        if (is_held(&tuple)) {
            busy = true;
            box->report->rows_busy++;
            heap_freetuple(version);
            continue;
        }
        if (fits)
            rows.free_space -= Min(rows.free_space, space);
        else
            movers--;
        if (!write_version(box, tuple.t_self, version)) {
            busy = true;
            box->report->rows_busy++;
        } else if (HeapTupleIsHeapOnly(version))
            heap_freetuple(version);
    }
    ExecClearTuple(box->row);
    MemoryContextSwitchTo(caller);
    ReleaseBuffer(buffer);
    return left ? PageState::to_do : busy ? PageState::busy : PageState::done;
}

void begin_window(ZdmBackfill *backfill) {
    backfill->window_end =
        backfill->window_start + Min(static_cast<BlockNumber>(backfill->window_pages),
                                     backfill->end - backfill->window_start);
    backfill->next = backfill->window_start;
    backfill->pass = 0;
    backfill->fruitless = 0;
    backfill->pass_rows = 0;
    backfill->pass_us = 0;
    memset(backfill->pages, static_cast<int>(PageState::to_do), largest_window);
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

void publish_free_space(Box *box, BlockNumber from, BlockNumber to) {
    for (BlockNumber block = from; block < to; block++) {
        Buffer buffer = ReadBuffer(box->relation, block);
        heap_page_prune_opt(box->relation, buffer);
        LockBuffer(buffer, BUFFER_LOCK_SHARE);
        const Size free_space = PageGetHeapFreeSpace(BufferGetPage(buffer));
        UnlockReleaseBuffer(buffer);
        RecordPageWithFreeSpace(box->relation, block, free_space);
    }
    FreeSpaceMapVacuumRange(box->relation, from, to);
}

// See the top: a first pass is meant to last about a box, but as long as other snapshots live.
void adapt_window(ZdmBackfill *backfill, int64 budget_us) {
    if (backfill->pass_us > budget_us)
        backfill->window_pages = Max(smallest_window, backfill->window_pages * 3 / 4);
    else if (backfill->pass_us < budget_us / 2)
        backfill->window_pages = Min(largest_window, backfill->window_pages * 3 / 2);
}

void note_fruit(Box *box, bool left) {
    ZdmBackfill *backfill = box->backfill;
    if (!left || backfill->pass_rows > 0) {
        if (backfill->pass > 0 && backfill->pass_rows > 0) backfill->stuck = false;
        backfill->fruitless = 0;
        return;
    }
    if (backfill->fruitless++ == 0) {
        INSTR_TIME_SET_CURRENT(backfill->fruitless_since);
        backfill->window_pages = Min(largest_window, backfill->window_pages * 2);
    }
    if (us_since(backfill->fruitless_since) > patience_us) backfill->stuck = true;
    box->report->idle = true;
}

// The end of a pass over the window. The next one must come in another transaction.
void end_pass(Box *box) {
    ZdmBackfill *backfill = box->backfill;
    const int pages = backfill->window_end - backfill->window_start;
    bool left = false, busy = false;
    for (int i = 0; i < pages; i++) {
        left = left || backfill->pages[i] == PageState::to_do;
        busy = busy || backfill->pages[i] == PageState::busy;
    }
    if (backfill->pass == 0) adapt_window(backfill, box->budget_us);
    note_fruit(box, left);
    backfill->pass_rows = 0;
    backfill->pass_us = 0;
    backfill->pass++;
    backfill->next = backfill->window_start;
    if (left) return;
    // Busy rows get one more look before the window ends.
    if (busy && backfill->pass < 2) return;

    for (int i = 0; i < pages; i++)
        if (backfill->pages[i] == PageState::busy)
            remember_busy(backfill, backfill->window_start + i);
    publish_free_space(box, backfill->window_start, backfill->window_end);
    backfill->window_start = backfill->window_end;
    if (backfill->window_start < backfill->end) begin_window(backfill);
}

// Works on the window until the box is over or a pass has ended: what it killed can only be pruned
// after a commit.
void work_on_window(Box *box, bool wait_for_horizon) {
    ZdmBackfill *backfill = box->backfill;
    const int64 began_us = elapsed_us(box);
    while (backfill->next < backfill->window_end) {
        PageState *state = &backfill->pages[backfill->next - backfill->window_start];
        if (*state != PageState::done) {
            *state = work_on_page(box, backfill->next,
                                  backfill->stuck && backfill->fruitless > 0 && !wait_for_horizon);
        }
        backfill->next++;
        if (must_stop(box)) break;
    }
    backfill->pass_us += elapsed_us(box) - began_us;
    box->report->horizon_stuck = backfill->stuck;
    if (backfill->next >= backfill->window_end) end_pass(box);
}

// Blocks with rows that were being written when their window ended. One look at each a round.
void work_on_busy(Box *box) {
    ZdmBackfill *backfill = box->backfill;
    if (backfill->busy_next >= backfill->busy_count) backfill->busy_next = 0;
    while (backfill->busy_next < backfill->busy_count) {
        const uint32 block = backfill->busy[backfill->busy_next];
        const bool gone = block >= RelationGetNumberOfBlocks(box->relation);
        if (gone || work_on_page(box, block, true) == PageState::done)
            backfill->busy[backfill->busy_next] = backfill->busy[--backfill->busy_count];
        else
            backfill->busy_next++;
        if (must_stop(box)) break;
    }
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
    backfill->relation = relation;
    backfill->relfilenode = relfilenode;
    backfill->argument_count = arguments.count;
    backfill->arguments = static_cast<char **>(palloc(sizeof(char *) * arguments.count));
    for (int i = 0; i < arguments.count; i++) backfill->arguments[i] = pstrdup(arguments.values[i]);
    backfill->pages = static_cast<PageState *>(palloc0(sizeof(PageState) * largest_window));
    backfill->window_pages = 64;
    backfill->window_start = Min(next_block, end_block);
    backfill->end = end_block;
    MemoryContextSwitchTo(caller);
    for (int i = 0; i < busy_block_count; i++) remember_busy(backfill, busy_blocks[i]);
    begin_window(backfill);
    return backfill;
}

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
    backfill->end = Min(backfill->end, RelationGetNumberOfBlocks(relation));
    backfill->window_end = Min(backfill->window_end, backfill->end);

    Box box = {};
    box.backfill = backfill;
    box.relation = relation;
    box.program = current_program(backfill, relation);
    box.report = report;
    box.budget_us = budget_us;
    INSTR_TIME_SET_CURRENT(box.start);
    open_box(&box);
    if (backfill->window_start < backfill->end)
        work_on_window(&box, wait_for_horizon);
    else
        work_on_busy(&box);
    close_box(&box);

    report->first_unfinished_block = backfill->window_start;
    report->done = backfill->window_start >= backfill->end && backfill->busy_count == 0;
    report->busy_block_count = backfill->busy_count;
    report->busy_blocks = backfill->busy;
    table_close(relation, NoLock);
}
