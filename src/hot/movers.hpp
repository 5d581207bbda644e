// How many rows leave their page so that the others have room for their next versions.
//
// A mover makes an entry in every index, which takes several times as long as an update in place
// and a look at the page together: as few as possible, rather than few visits. And not all at once:
// after CREATE INDEX the leaves are 90 % full. In an index whose order is that of the rows the
// movers of a window all go to the same few leaves, and where they are more than a tenth every leaf
// is split. In portions, the old entries of one pass are dead when the next one comes, and a full
// leaf gets rid of them (index_entries.cpp). Measured, rows of 100 bytes of which 15 % have to
// move, in the same time: the primary key grows by 1 %, instead of by half. Where one row is more
// than a page's portion, of rows of 650 bytes and more, the pages take turns.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

#include "hot/page.hpp"

namespace zdm {

// The least that the growth of the page's unfilled rows demands, in bytes each, with the space of
// one row to work with; and all that line pointers do not suffice for, because a row that stays
// keeps two of them until the next vacuum.
int movers_needed(const PageRows &rows, int unfilled, Size row_space, Size growth);

// How many of a page's rows may leave in one pass, when it has its turn.
int most_movers(const PageRows &rows);

// A page has one in every so many passes.
int turns_of(const PageRows &rows);
bool has_turn(BlockNumber block, int turns, int pass);

}  // namespace zdm
