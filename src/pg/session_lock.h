/*
 * session_lock.h - what vacuum.c needs of session_lock.c; the rest is in bridge.h.
 */
#pragma once

#include "pg/bridge.h"

/* Both raise what the server raises. */
bool zdm_session_lock_if_free(uint32_t relation, int mode);
/* Nothing where it is not held any more: the abort of a transaction releases it too. */
void zdm_session_unlock(uint32_t relation, int mode);
