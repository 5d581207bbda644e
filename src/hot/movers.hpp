// How many rows leave their page so that the others have room for their next versions.
//
// A mover makes an entry in every index, which takes several times as long as an update in place
// and a look at the page together: as few as possible, rather than few visits. And not all at once:
// after CREATE INDEX the leaves are 90 % full. In an index whose order is that of the rows the
// movers of a window all go to the same few leaves, and where they are more than a tenth every leaf
// is split. A tenth at a time, the old entries of one pass are dead when the next one comes, and a
// full leaf gets rid of them (index_entries.cpp).
// Measured, rows of 100 bytes that have to move by 15 %: the primary key grows by 1 % instead of 52
// %, in the same time.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

#include "hot/page.hpp"
#include "hot/spare_room.hpp"

namespace zdm {

// Lives as long as the backfill.
struct MoverPolicy {
    SpareRoom spare_room;
    double credit;  // rows that may leave in this pass
};

// A pass over a window.
void begin_mover_pass(MoverPolicy *policy);

// Of a page: the least that the growth of the unfilled rows demands, in bytes each, with the space
// of one row to work with; and all that line pointers do not suffice for, because a row that stays
// keeps two of them until the next vacuum.
int movers_needed(const PageRows &rows, int unfilled, Size row_space, Size growth);

// How many of those may leave in this pass. They count as having left.
int movers_allowed(MoverPolicy *policy, const PageRows &rows, int needed);

}  // namespace zdm
