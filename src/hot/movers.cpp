// See movers.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/movers.hpp"

#include <cmath>

namespace zdm {

namespace {

// A bit less than what the leaves have room for: the rows of a leaf are those of a few pages.
constexpr double share_at_once = 0.08;

// A leaf finds dead by itself what the pass before has left, but where it has to be marked for it
// (dead_entries.hpp) others' snapshots may still have seen it when this pass began.
constexpr double share_in_turns = 0.04;

}  // namespace

int movers_needed(const PageRows &rows, int unfilled, Size row_space, Size growth) {
    const Size wanted = unfilled * growth + row_space;
    const Size there = rows.free_space + sizeof(ItemIdData);
    const int movers = there < wanted ? (wanted - there + row_space - 1) / row_space : 0;
    return Max(movers, unfilled - rows.free_line_pointers);
}

int most_movers(const PageRows &rows) {
    return Max(1, static_cast<int>(rows.count * share_at_once));
}

int turns_of(const PageRows &rows) {
    if (rows.count * share_at_once >= 1) return 1;
    return static_cast<int>(std::ceil(1 / (rows.count * share_in_turns)));
}

bool has_turn(BlockNumber block, int turns, int pass) {
    return block % static_cast<BlockNumber>(turns) == static_cast<BlockNumber>(pass % turns);
}

}  // namespace zdm
