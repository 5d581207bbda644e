#include "carry/borrowed_names.hpp"

#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

struct BorrowedName {
    const CarryScope *scope;
    std::string name, usual;
    bool taken;  // the other side has it, and gets it back
    std::string aside;
};

std::vector<BorrowedName> borrowed_names(const std::vector<const CarryScope *> &scopes, Side side) {
    const bool to_new = side == Side::new_side;
    const Side other = to_new ? Side::old_side : Side::new_side;
    std::vector<BorrowedName> borrowed;
    for (const auto *scope : scopes) {
        if (!scope->is_paired()) continue;
        for (size_t pair = 0; pair < scope->mapping.old_columns.size(); ++pair) {
            const auto &from = column_at(*scope, other, pair);
            const std::string &name = name_of(from, to_new ? Names::before : Names::soak);
            const std::string &usual =
                column_at(*scope, side, pair).current_name(scope->soak_names);
            if (usual != name)
                borrowed.push_back({scope, name, usual,
                                    from.current_name(scope->soak_names) == name,
                                    new_object_name(scope->migration.id, name)});
        }
    }
    return borrowed;
}

void rename_column(const CarryScope &scope, const std::string &from, const std::string &to) {
    query(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", scope.table, Identifier(from),
                      Identifier(to)));
}

}  // namespace

void with_borrowed_names(const std::vector<const CarryScope *> &scopes, Side side,
                         const std::function<void()> &body) {
    const auto borrowed = borrowed_names(scopes, side);
    for (const auto &one : borrowed) {
        if (one.taken) rename_column(*one.scope, one.name, one.aside);
        rename_column(*one.scope, one.usual, one.name);
    }
    body();
    for (const auto &one : borrowed) {
        rename_column(*one.scope, one.name, one.usual);
        if (one.taken) rename_column(*one.scope, one.aside, one.name);
    }
}

}  // namespace zdm
