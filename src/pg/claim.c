/*
 * claim.c - what one process of a database has for itself: to be its worker, a range of a pass.
 *
 * As session locks they end with the process, however it ends. Not advisory ones: those anybody
 * can take, and would stop every migration. The tag is that of a part of an extension; no SQL
 * command locks one. Of the two lock methods it is the user's, whose locks no rolled back
 * transaction gives back; pg_advisory_unlock_all() does, so that a claim is made sure of anew
 * wherever a table owner's functions may have run in between.
 */
#include "pg/guard.h"

#include "catalog/pg_extension_d.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"

#include "pg/pinned.h"
#include "pg/version.h"

/* Beside the claims' numbers. */
#define START 4

static LOCKTAG tag_of(ZdmClaim claim, uint32_t number) {
    LOCKTAG tag;

    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, number, claim);
    tag.locktag_lockmethodid = USER_LOCKMETHOD;
    return tag;
}

ErrorData *zdm_claim(ZdmClaim claim, uint32_t number, bool *claimed) {
    GUARD_BEGIN();
    LOCKTAG tag = tag_of(claim, number);

    *claimed = zdm_lock_held(&tag, ExclusiveLock) ||
               LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
    GUARD_END();
}

ErrorData *zdm_claim_release(ZdmClaim claim, uint32_t number) {
    GUARD_BEGIN();
    LOCKTAG tag = tag_of(claim, number);

    if (zdm_lock_held(&tag, ExclusiveLock)) (void)LockRelease(&tag, ExclusiveLock, true);
    GUARD_END();
}

ErrorData *zdm_lock_start(uint32_t relation, double timeout_ms) {
    GUARD_BEGIN();
    LOCKTAG tag;
    int nest = NewGUCNestLevel();

    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, relation, START);
    if (LockTimeout == 0 || LockTimeout > timeout_ms) zdm_set_lock_timeout(timeout_ms);
    (void)LockAcquire(&tag, ExclusiveLock, false, false);
    AtEOXact_GUC(true, nest);
    GUARD_END();
}
