/*
 * session_lock.c - a lock on a table for a statement that manages transactions itself. The
 * statement then finds it granted: it queues for nothing.
 */
#include "pg/guard.h"

#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/guc.h"

#include "pg/pinned.h"
#include "pg/session_lock.h"
#include "pg/version.h"

static LOCKTAG tag_of(Oid relation) {
    LOCKTAG tag;

    SET_LOCKTAG_RELATION(tag, MyDatabaseId, relation);
    return tag;
}

bool zdm_session_lock_if_free(uint32_t relation, int mode) {
    LOCKTAG tag = tag_of(relation);

    return LockAcquire(&tag, mode, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void zdm_session_unlock(uint32_t relation, int mode) {
    LOCKTAG tag = tag_of(relation);

    if (zdm_lock_held(&tag, mode)) LockRelease(&tag, mode, true);
}

ErrorData *zdm_lock_for_session(uint32_t relation, int mode, double timeout_ms) {
    GUARD_BEGIN();
    LOCKTAG tag = tag_of(relation);
    int nest = NewGUCNestLevel();

    zdm_set_lock_timeout(timeout_ms);
    LockAcquire(&tag, mode, true, false);
    AtEOXact_GUC(true, nest);
    GUARD_END();
}

ErrorData *zdm_unlock_for_session(uint32_t relation, int mode) {
    GUARD_BEGIN();
    zdm_session_unlock(relation, mode);
    GUARD_END();
}
