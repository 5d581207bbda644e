// See fill_page.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
//
// Rows are read in place: the page is pinned, not locked, and no row is copied before its next
// version is formed. heap_update takes the page's lock itself and looks at the row again, so all
// that is found out here may be out of date by then.
//
// A row is looked at once: nothing makes a row unfilled again, because whoever writes it fires the
// sync trigger. So the next visit goes on where this one ended, but for rows that were held.
#include "hot/fill_page.hpp"

#include "hot/movers.hpp"
#include "hot/next_tuple.hpp"
#include "hot/page.hpp"

extern "C" {
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodes.h"
#include "optimizer/optimizer.h"
#include "storage/bufpage.h"
#include "utils/memutils.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "access/xact.h"
#include "pg/version.h"
}

namespace zdm {

namespace {

// See others_take_the_room. The first is what the visit before has killed.
constexpr int most_pruned_in_vain = 4;

// Of a window.
constexpr BlockNumber pages_surveyed = 16;

// Constraints that read a new column: only somebody else can have made them so soon, but they hold.
bool is_constrained(Relation relation, const Bitmapset *filled) {
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

// A foreign key's check may hold a row whose key does not change.
LockTupleMode lock_mode_of(Relation relation, const Bitmapset *filled) {
    Bitmapset *key = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_KEY);
    int attnum = -1;
    while ((attnum = bms_next_member(filled, attnum)) >= 0)
        if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, key))
            return LockTupleExclusive;
    return LockTupleNoKeyExclusive;
}

// From the row's header alone.
bool is_filled(const FillBox *box, HeapTuple tuple) {
    const SyncSide &side = box->program->new_side;
    for (int i = 0; i < side.count; i++)
        if (!heap_attisnull(tuple, side.columns[i].attnum, RelationGetDescr(box->relation)))
            return true;
    return false;
}

// The row's next version, or NULL where it needs none.
HeapTuple next_version(FillBox *box, HeapTuple tuple) {
    SyncProgram *program = box->program;
    const SyncSide &side = program->new_side;
    if (is_filled(box, tuple)) return nullptr;
    ExecStoreHeapTuple(tuple, box->row, false);
    sync_program_begin_row(program);
    if (!sync_evaluate(program, side, box->row, box->values, box->nulls, nullptr)) {
        box->rows_failed++;
        return nullptr;  // verify reports it
    }
    bool all_null = true;
    for (int i = 0; i < side.count; i++) all_null = all_null && box->nulls[i];
    if (all_null) return nullptr;
    return next_tuple(tuple, RelationGetDescr(box->relation), side.count, box->attnums, box->values,
                      box->nulls);
}

// What the new version takes on a page. heap_update toasts what is larger than the target.
Size space_of(const HeapTuple tuple) {
    const Size length = MAXALIGN(tuple->t_len);
    return (length > TOAST_TUPLE_THRESHOLD ? MAXALIGN(TOAST_TUPLE_TARGET) : length) +
           sizeof(ItemIdData);
}

void owe_index_entries(FillBox *box, MovedRows *rows, HeapTuple version, BlockNumber from) {
    MemoryContext caller = MemoryContextSwitchTo(box->memory);
    HeapTuple copy = heap_copytuple(version);
    moved_rows_add(rows, copy, from);
    MemoryContextSwitchTo(caller);
}

enum class Written { here, elsewhere, by_others, not_now };

// wait: only where it cannot come to that, see write_held_version.
Written write_version(FillBox *box, ItemPointerData place, HeapTuple version, bool wait) {
    if (box->check_constraints) {
        ExecForceStoreHeapTuple(version, box->index_slot, false);
        ExecConstraints(box->indexes, box->index_slot, box->estate);
        ExecClearTuple(box->index_slot);
    }
    TM_FailureData failure;
    bool only_summaries;
    // A server built with assertions refuses to be asked about a row that is being modified when it
    // is not to wait (heap_update's comment on the "no wait" case). is_held has just looked, so
    // that is a narrow race there, and in production the row is simply left for later.
    const TM_Result result = zdm_heap_update(box->relation, &place, version, box->command, wait,
                                             &failure, &only_summaries);
    if (result == TM_BeingModified) return Written::not_now;
    if (result != TM_Ok) return Written::by_others;  // through the trigger; or deleted
    const BlockNumber block = ItemPointerGetBlockNumber(&place);
    if (HeapTupleIsHeapOnly(version)) {
        box->rows_hot++;
        if (only_summaries) owe_index_entries(box, &box->summarized, version, block);
        return Written::here;
    }
    box->rows_moved++;
    owe_index_entries(box, &box->moved, version, block);
    return Written::elsewhere;
}

// A row that somebody holds. If it is only a foreign key's check (FOR KEY SHARE), which a row that
// is much referred to is hardly ever without, it can be written all the same, but heap_update finds
// that out only when it is allowed to wait. So we lock the row first, which never waits
// (LockWaitSkip). Once we hold it nobody can lock it in a way that heap_update would wait for.
Written write_held_version(FillBox *box, ItemPointerData place, HeapTuple version) {
    HeapTupleData row;
    row.t_self = place;
    row.t_tableOid = RelationGetRelid(box->relation);
    Buffer buffer;
    TM_FailureData failure;
    const TM_Result result = heap_lock_tuple(box->relation, &row, box->command, box->lock_mode,
                                             LockWaitSkip, false, &buffer, &failure);
    ReleaseBuffer(buffer);
    if (result == TM_WouldBlock) return Written::not_now;
    if (result != TM_Ok) return Written::by_others;
    return write_version(box, place, version, true);
}

int unfilled_rows(const FillBox *box, Buffer buffer, const PageRows &rows) {
    const BlockNumber block = BufferGetBlockNumber(buffer);
    int count = 0;
    for (int i = 0; i < rows.count; i++) {
        HeapTupleData tuple = row_at(box->relation, buffer, block, rows.offsets[i]);
        if (!is_filled(box, &tuple)) count++;
    }
    return count;
}

Size longest_row(Buffer buffer, const PageRows &rows) {
    Page page = BufferGetPage(buffer);
    Size longest = 0;
    for (int i = 0; i < rows.count; i++)
        longest = Max(longest, MAXALIGN(ItemIdGetLength(PageGetItemId(page, rows.offsets[i]))));
    return longest;
}

bool is_pruned(const PageRows &rows) { return !TransactionIdIsValid(rows.prune_xid); }

// Pruning gives bytes back, but hardly a line pointer.
bool room_may_come(const PageRows &rows) { return !is_pruned(rows) && rows.free_line_pointers > 0; }

// How many rows may leave the page in this visit, if they must. Where it is not the page's turn,
// none, and it is to wait for that one.
int movers_in_turn(const FillBox *box, Buffer buffer, const PageRows &rows,
                   PageProgress *progress) {
    const int turns = turns_of(rows);
    if (has_turn(BufferGetBlockNumber(buffer), turns, box->pass)) return most_movers(rows);
    progress->turns = turns;
    return 0;
}

// How many rows leave the page in this visit. may_wait: none where room may come without that.
int movers_of(FillBox *box, Buffer buffer, const PageRows &rows, Size row_space, Size growth,
              bool may_wait, PageProgress *progress) {
    if (may_wait && room_may_come(rows)) return 0;
    const int needed = movers_needed(rows, unfilled_rows(box, buffer, rows), row_space, growth);
    return needed > 0 ? Min(needed, movers_in_turn(box, buffer, rows, progress)) : 0;
}

// On a page that was pruned a few times, but others have been quicker to use the room. While it
// waits for the same transaction as before, no pruning has taken place because somebody still sees
// what that one has killed; how long to wait for it is not ours to say.
bool others_take_the_room(const PageRows &rows, PageProgress *progress) {
    if (rows.prune_xid != progress->waits_for) {
        progress->waits_for = rows.prune_xid;
        progress->pruned_in_vain++;
    }
    return progress->pruned_in_vain > most_pruned_in_vain;
}

// The next visit is to prune the page. heap_page_prune_opt leaves one alone that has a tenth free,
// which a large row may not fit into, unless this hint tells that an update has found no room.
void ask_for_pruning(Buffer buffer) {
    Page page = BufferGetPage(buffer);
    if (PageIsFull(page)) return;
    LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
    PageSetFull(page);
    MarkBufferDirtyHint(buffer, true);
    LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
}

// By how much a row that stays makes its page fuller: its first line pointer leads to the second.
Size growth_of(HeapTuple tuple, Size space) {
    const Size before = MAXALIGN(tuple->t_len);
    return space > before ? space - before : 0;
}

}  // namespace

void fill_box_open(FillBox *box, Relation relation, SyncProgram *program, SpareRoom *spare_room) {
    box->relation = relation;
    box->program = program;
    box->spare_room = spare_room;
    spare_room_keep(spare_room, relation, &box->lowered_fillfactor);
    box->memory =
        AllocSetContextCreate(CurrentMemoryContext, "zdm backfill box", ALLOCSET_DEFAULT_SIZES);
    box->page_memory =
        AllocSetContextCreate(box->memory, "zdm backfill page", ALLOCSET_DEFAULT_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(box->memory);
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
    moved_rows_begin(&box->summarized, box->memory);

    const int columns = program->most_columns();
    box->attnums = static_cast<int *>(palloc(sizeof(int) * columns));
    box->values = static_cast<Datum *>(palloc(sizeof(Datum) * columns));
    box->nulls = static_cast<bool *>(palloc(sizeof(bool) * columns));
    for (int i = 0; i < program->new_side.count; i++) {
        box->attnums[i] = program->new_side.columns[i].attnum;
        box->filled = bms_add_member(box->filled, box->attnums[i]);
    }
    box->check_constraints = is_constrained(relation, box->filled);
    box->lock_mode = lock_mode_of(relation, box->filled);
    MemoryContextSwitchTo(caller);
}

void fill_box_close(FillBox *box) {
    if (box->any_awaits_turn) box->moved.dead = box->dead_entries;
    moved_rows_index(&box->moved, box->indexes, box->estate, box->index_slot, box->filled, false);
    moved_rows_index(&box->summarized, box->indexes, box->estate, box->index_slot, box->filled,
                     true);
    spare_room_let_go(box->relation, &box->lowered_fillfactor);
    ExecCloseIndices(box->indexes);
    ExecDropSingleTupleTableSlot(box->row);
    ExecDropSingleTupleTableSlot(box->index_slot);
    FreeExecutorState(box->estate);
    MemoryContextDelete(box->memory);
}

void survey_room(FillBox *box, BlockNumber start, BlockNumber end) {
    const BlockNumber step = Max(1, (end - start) / pages_surveyed);
    *box->spare_room = {};
    for (BlockNumber block = start; block < end; block += step) {
        Buffer buffer = ReadBuffer(box->relation, block);
        PageRows rows;
        heap_page_prune_opt(box->relation, buffer);
        list_visible_rows(box->relation, buffer, block, box->snapshot, &rows);
        if (rows.count > 0 && unfilled_rows(box, buffer, rows) == rows.count)
            spare_room_note(box->spare_room, rows.free_space, longest_row(buffer, rows));
        ReleaseBuffer(buffer);
    }
    spare_room_keep(box->spare_room, box->relation, &box->lowered_fillfactor);
}

void fill_page(FillBox *box, BlockNumber block, PageProgress *progress, bool first_visit,
               bool move_out) {
    if (progress->state == PageState::busy) {
        progress->next = FirstOffsetNumber;
        progress->any_busy = false;
    }
    progress->state = PageState::to_do;
    const bool awaited_turn = progress->turns > 0;
    if (awaited_turn && !move_out && !has_turn(block, progress->turns, box->pass)) {
        box->any_awaits_turn = true;
        return;
    }
    progress->turns = 0;
    const bool may_wait = !first_visit && !awaited_turn;
    Buffer buffer = ReadBuffer(box->relation, block);
    PageRows rows;
    heap_page_prune_opt(box->relation, buffer);
    list_visible_rows(box->relation, buffer, block, box->snapshot, &rows);

    int movers = -1;  // not known before the first row's size is
    bool killed = false, full = false;
    MemoryContext caller = MemoryContextSwitchTo(box->page_memory);
    for (int i = 0; i < rows.count; i++) {
        if (rows.offsets[i] < progress->next) continue;
        HeapTupleData tuple = row_at(box->relation, buffer, block, rows.offsets[i]);
        HeapTuple version = next_version(box, &tuple);
        if (version == nullptr) continue;
        const Size space = space_of(version);
        const Size growth = growth_of(&tuple, space);
        if (movers < 0)
            movers = move_out ? rows.count
                              : movers_of(box, buffer, rows, space, growth, may_wait, progress);
        const bool fits =
            rows.free_space + sizeof(ItemIdData) >= space && rows.free_line_pointers > 0;
        if (!fits && movers == 0 && !killed &&
            (is_pruned(rows) || others_take_the_room(rows, progress)))
            movers = movers_in_turn(box, buffer, rows, progress);
        if (!fits && movers == 0) {
            // The rows behind it have about the same size, and their turn comes in a later pass.
            progress->next = rows.offsets[i];
            ask_for_pruning(buffer);
            full = true;
            break;
        }
        const Written written = is_held(buffer, &tuple)
                                    ? write_held_version(box, tuple.t_self, version)
                                    : write_version(box, tuple.t_self, version, false);
        if (written == Written::not_now) {
            progress->any_busy = true;
            box->rows_busy++;
            continue;
        }
        if (written == Written::here) {
            rows.free_space -= Min(rows.free_space, space);
            rows.free_line_pointers--;
        } else if (written == Written::elsewhere) {
            movers = Max(0, movers - 1);
            progress->moved_by = GetTopTransactionId();
        }
        killed = true;
        progress->pruned_in_vain = 0;
    }
    ExecClearTuple(box->row);
    MemoryContextSwitchTo(caller);
    MemoryContextReset(box->page_memory);
    ReleaseBuffer(buffer);
    if (!full) progress->state = progress->any_busy ? PageState::busy : PageState::done;
    // What was killed can be pruned in the next visit, which need not wait for a turn.
    if (!full || killed) progress->turns = 0;
    if (progress->turns > 0) box->any_awaits_turn = true;
}

}  // namespace zdm
