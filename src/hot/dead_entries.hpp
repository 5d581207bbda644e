// Index entries that rows have left behind by moving to another page.
//
// A full leaf gets rid of dead entries before it is split. But unless they are marked it looks for
// them on a few pages of the table only, and of wide rows, a few to a page, a leaf has entries of a
// hundred pages, each with one row that has moved. So where pages take turns (movers.hpp), the
// entries that the passes before have left are marked before the next adds its own, in indexes
// whose order is that of the rows; in others the movers of a window are spread over all leaves.
// Measured, rows of 2 kB of which a quarter has to move: the primary key grows by 1 %, instead of
// doubling.
//
// Marking is what any index scan does with an entry that leads to nothing but dead rows. (So it
// counts in pg_stat_user_indexes, a scan a pass.) What somebody's snapshot still sees has to wait
// for a later pass.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

#include "hot/page_progress.hpp"

extern "C" {
#include "postgres.h"

#include "nodes/execnodes.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
}

namespace zdm {

// Where a window's are: an index and the lowest of the keys. Lives as long as the backfill.
struct DeadEntries {
    MemoryContext context;
    List *ranges;
};

// The first lot of a window counts: it comes from all over the window.
void dead_entries_note(DeadEntries *dead, Relation index, Datum *values, bool *nulls);

// At the end of a window.
void dead_entries_forget(DeadEntries *dead);

// Those of count pages from start on whose moved_by nobody sees any more; it is cleared.
void dead_entries_mark(DeadEntries *dead, ResultRelInfo *indexes, Snapshot snapshot,
                       BlockNumber start, int count, PageProgress *pages);

}  // namespace zdm
