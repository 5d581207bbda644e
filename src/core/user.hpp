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

// See zdm_as_owner_begin. An exception means that the (sub)transaction is rolled back, and that
// ends the level of settings.
class OwnerScope {
  public:
    explicit OwnerScope(uint32_t owner) : as_owner_(zdm_as_owner_begin(owner)) {}
    ~OwnerScope() {
        if (std::uncaught_exceptions() == exceptions_)
            zdm_as_owner_end(&as_owner_);
        else
            zdm_user_set(as_owner_.user, as_owner_.context);
    }
    OwnerScope(const OwnerScope &) = delete;
    OwnerScope &operator=(const OwnerScope &) = delete;

  private:
    ZdmAsOwner as_owner_;
    int exceptions_ = std::uncaught_exceptions();
};

}  // namespace zdm
