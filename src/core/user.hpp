#pragma once

#include <cstdint>
#include <exception>

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

// As VACUUM and CREATE INDEX run a table owner's code: no way back to the session's own role, and
// no setting that it changes outlives the scope. An exception means that the (sub)transaction is
// rolled back, and that ends the level of settings.
class OwnerScope {
  public:
    explicit OwnerScope(uint32_t owner)
        : user_(owner, zdm_user_restricted_context()), level_(zdm_settings_open()) {}
    ~OwnerScope() {
        if (std::uncaught_exceptions() == exceptions_) zdm_settings_close(level_);
    }
    OwnerScope(const OwnerScope &) = delete;
    OwnerScope &operator=(const OwnerScope &) = delete;

  private:
    UserScope user_;
    int exceptions_ = std::uncaught_exceptions();
    int level_;
};

}  // namespace zdm
