// What the passes over a window remember of each of its pages.
#pragma once

extern "C" {
#include "postgres.h"

#include "storage/off.h"
}

namespace zdm {

enum class PageState : uint8 {
    to_do,
    busy,  // all done, but for rows that somebody was writing
    done,
};

struct PageProgress {
    TransactionId moved_by;  // the last to move rows elsewhere whose old index entries are unmarked
    TransactionId waits_for;  // what the page can be pruned of next, when it last had no room
    OffsetNumber next;        // rows below it have been looked at
    bool any_busy;            // of those
    uint8 turns;              // > 0: it waits for the one in so many passes in which rows may leave
    uint8 pruned_in_vain;     // times in a row that it was pruned and still had no room
    PageState state;
};

}  // namespace zdm
