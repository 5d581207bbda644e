/*
 * give_way.h - what vacuum.c needs of give_way.c; the rest is in bridge.h.
 */
#pragma once

#include "pg/bridge.h"

/* Whom a long statement gives way to. */
typedef struct ZdmGivingWay {
    int patience_ms; /* who has waited for less may go away by himself */
    bool to_vacuum;  /* to a VACUUM that waits too: it has time, and keeps nobody else waiting */
} ZdmGivingWay;

/* Raises what the server raises. Nothing may be watched yet. */
void zdm_watch_waiters(const ZdmHeld *held, int count, ZdmGivingWay giving_way);
/* Nothing where nothing is watched. A cancellation that comes late is taken back. */
void zdm_watch_no_more(void);
