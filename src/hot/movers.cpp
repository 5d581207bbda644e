// See movers.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/movers.hpp"

namespace zdm {

namespace {

// A bit less than what the leaves have room for: the rows of a leaf are those of a few pages.
constexpr double most_movers = 0.08;

}  // namespace

// One row may leave at once, so that even a window of a few rows comes forward.
void begin_mover_pass(MoverPolicy *policy) { policy->credit = 1; }

int movers_needed(const PageRows &rows, int unfilled, Size row_space, Size growth) {
    const Size wanted = unfilled * growth + row_space;
    const int movers =
        rows.free_space < wanted ? (wanted - rows.free_space + row_space - 1) / row_space : 0;
    return Max(movers, unfilled - rows.free_line_pointers);
}

int movers_allowed(MoverPolicy *policy, const PageRows &rows, int needed) {
    const double share = rows.count * most_movers;
    policy->credit = Min(policy->credit + share, share + 1);
    const int movers = Min(needed, static_cast<int>(policy->credit));
    policy->credit -= movers;
    return movers;
}

}  // namespace zdm
