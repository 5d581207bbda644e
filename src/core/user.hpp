#pragma once

#include <cstdint>

#include "pg/bridge.h"

namespace zdm {

// Acts as another role for a scope. Restoring cannot fail, and the server restores by itself when
// the transaction aborts, so an exception may pass.
class UserScope {
  public:
    UserScope(uint32_t role, int context) {
        zdm_user_get(&role_, &context_);
        zdm_user_set(role, context | context_);
    }
    ~UserScope() { zdm_user_set(role_, context_); }
    UserScope(const UserScope &) = delete;
    UserScope &operator=(const UserScope &) = delete;

  private:
    uint32_t role_ = 0;
    int context_ = 0;
};

// As VACUUM and CREATE INDEX run a table owner's code: no way back to the session's own role.
struct OwnerScope : UserScope {
    explicit OwnerScope(uint32_t owner) : UserScope(owner, zdm_user_restricted_context()) {}
};

}  // namespace zdm
