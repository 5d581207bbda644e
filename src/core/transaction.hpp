#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"

namespace zdm {

// Runs body in its own transaction: commits, or rolls back and rethrows. The worker's only way in.
template <typename Body>
void in_transaction(Body &&body) {
    try {
        check(zdm_transaction_begin());
        body();
        check(zdm_transaction_commit());
    } catch (...) {
        check(zdm_transaction_abort());
        throw;
    }
}

// Runs body in a subtransaction and returns the error that it was rolled back for. Only the listed
// SQLSTATEs are kept back; all others, cancel and shutdown among them, fly on.
template <typename Body>
std::optional<Error> attempt(const std::vector<std::string> &expected, Body &&body) {
    void *saved = nullptr;
    check(zdm_subtransaction_begin(&saved));
    try {
        body();
    } catch (Error &error) {
        check(zdm_subtransaction_rollback(saved));
        for (const auto &sqlstate : expected)
            if (error.sqlstate() == sqlstate) return std::move(error);
        throw;
    } catch (...) {
        check(zdm_subtransaction_rollback(saved));
        throw;
    }
    check(zdm_subtransaction_commit(saved));
    return std::nullopt;
}

}  // namespace zdm
