// See spare_room.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/spare_room.hpp"

extern "C" {
#include "access/reloptions.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"
}

namespace zdm {

namespace {

constexpr double mostly = 0.5;
constexpr int pages_that_count = 64;
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

}  // namespace

// Where a new version may go is heap_update's choice, and it leaves free what the fillfactor asks
// for; on the row's own page it does not. So the fillfactor is lowered in this process' relation
// cache, where it lasts until the entry is built anew: no other process knows of it, and in this
// one nothing else asks for it.
void spare_room_keep(SpareRoom *room, Relation relation, Size free_space, Size row_space) {
    room->pages = Min(room->pages + 1, pages_that_count);
    room->share += ((free_space >= row_space ? 1 : 0) - room->share) / room->pages;
    const int percent = static_cast<int>((row_space * 100 + BLCKSZ - 1) / BLCKSZ);
    if (room->share < mostly || percent > most_percent) return;
    const int fillfactor = 100 - percent;
    if (RelationGetFillFactor(relation, HEAP_DEFAULT_FILLFACTOR) <= fillfactor) return;
    if (relation->rd_options == nullptr)
        relation->rd_options = options_with(relation, fillfactor);
    else
        reinterpret_cast<StdRdOptions *>(relation->rd_options)->fillfactor = fillfactor;
}

}  // namespace zdm
