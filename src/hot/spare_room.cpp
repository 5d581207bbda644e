// See spare_room.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/spare_room.hpp"

extern "C" {
#include "access/reloptions.h"
#include "nodes/makefuncs.h"
#include "storage/freespace.h"
#include "utils/memutils.h"
}

namespace zdm {

namespace {

// Of a page. What is kept free is lost where nobody updates the page, and a table is not to grow by
// more than a twentieth.
constexpr int most_percent = 4;

// What the server makes of "fillfactor = N" and nothing else, to be kept in the relation cache.
bytea *options_with(const Relation relation, int fillfactor) {
    DefElem *option =
        makeDefElem(pstrdup("fillfactor"), reinterpret_cast<Node *>(makeInteger(fillfactor)), -1);
    Datum text = transformRelOptions(static_cast<Datum>(0), list_make1(option), nullptr, nullptr,
                                     false, false);
    bytea *options = heap_reloptions(relation->rd_rel->relkind, text, false);
    auto *kept = static_cast<bytea *>(MemoryContextAlloc(CacheMemoryContext, VARSIZE_ANY(options)));
    memcpy(kept, options, VARSIZE_ANY(options));
    return kept;
}

void set_fillfactor(Relation relation, int fillfactor) {
    if (relation->rd_options == nullptr)
        relation->rd_options = options_with(relation, fillfactor);
    else
        reinterpret_cast<StdRdOptions *>(relation->rd_options)->fillfactor = fillfactor;
}

}  // namespace

void spare_room_note(SpareRoom *room, Size free_space, Size longest_row) {
    room->pages++;
    if (free_space >= longest_row) room->with_room++;
    room->longest_row = Max(room->longest_row, longest_row);
}

void spare_room_keep(const SpareRoom *room, Relation relation, LoweredFillfactor *lowered) {
    if (lowered->to != 0 || room->with_room * 2 <= room->pages) return;
    const int percent = static_cast<int>(room->longest_row * 100 / BLCKSZ) + 1;
    const int fillfactor = RelationGetFillFactor(relation, HEAP_DEFAULT_FILLFACTOR);
    if (percent > most_percent || fillfactor <= 100 - percent) return;
    *lowered = {fillfactor, 100 - percent};
    set_fillfactor(relation, lowered->to);
}

// Not where the entry was built anew meanwhile: somebody may have altered the table's own.
void spare_room_let_go(Relation relation, LoweredFillfactor *lowered) {
    if (RelationGetFillFactor(relation, HEAP_DEFAULT_FILLFACTOR) == lowered->to)
        set_fillfactor(relation, lowered->from);
    *lowered = {0, 0};
}

Size spare_room_told(const SpareRoom *room, const LoweredFillfactor *lowered, Size free_space) {
    // The window may be one in which no page has been looked at.
    const bool kept = lowered->to != 0 && room->longest_row > 0;
    return kept && free_space < 2 * (room->longest_row + sizeof(ItemIdData)) ? 0 : free_space;
}

void spare_room_hide(const SpareRoom *room, const LoweredFillfactor *lowered, Relation relation,
                     BlockNumber block) {
    const Size known = GetRecordedFreeSpace(relation, block);
    const Size told = spare_room_told(room, lowered, known);
    if (told != known) RecordPageWithFreeSpace(relation, block, told);
}

void spare_room_show(Relation relation, BlockNumber block, Size free_space) {
    if (GetRecordedFreeSpace(relation, block) == 0)
        RecordPageWithFreeSpace(relation, block, free_space);
}

}  // namespace zdm
