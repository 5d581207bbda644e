/*
 * vacuum.c - a VACUUM that gives way: who waits for a lock on the table ends it, as autovacuum is
 * ended, but within milliseconds.
 */
#include "pg/guard.h"

#include "storage/lock.h"
#include "utils/guc.h"

#include "pg/give_way.h"
#include "pg/session_lock.h"

/* A page costs 1 and takes 2.5 us; one that is dirtied takes about five times as long. */
static const double stretch_cost = 200, stretch_ms = 0.5;
static const double longest_delay_ms = 100; /* that the server has */
static const double breath_ms = 0.01;       /* that the core is let go of */

static void set_cost(const char *setting, double value) {
    char text[32];

    snprintf(text, sizeof(text), "%g", value);
    SetConfigOption(setting, text, PGC_USERSET, PGC_S_SESSION);
}

static void pace(double duty, bool beside_others) {
    double delay_ms = stretch_ms * (1 / Max(duty, 0.001) - 1);

    if (beside_others) delay_ms = Max(delay_ms, breath_ms);
    set_cost("vacuum_cost_delay", Min(delay_ms, longest_delay_ms));
    set_cost("vacuum_cost_limit", stretch_cost);
    set_cost("vacuum_cost_page_dirty", 5);
}

static void end_pace(void) {
    const char *const settings[] = {"vacuum_cost_delay", "vacuum_cost_limit",
                                    "vacuum_cost_page_dirty"};

    for (int i = 0; i < lengthof(settings); i++)
        SetConfigOption(settings[i], NULL, PGC_USERSET, PGC_S_SESSION);
}

ErrorData *zdm_vacuum_begin(uint32_t relation, double duty, bool beside_others, bool *locked) {
    GUARD_BEGIN();
    *locked = zdm_session_lock_if_free(relation, ShareUpdateExclusiveLock);
    if (*locked) {
        pace(duty, beside_others);
        zdm_watch_waiters(&(ZdmHeld){relation, ShareUpdateExclusiveLock}, 1,
                          (ZdmGivingWay){0, true});
    }
    GUARD_END();
}

ErrorData *zdm_vacuum_end(uint32_t relation) {
    GUARD_BEGIN();
    zdm_watch_no_more();
    zdm_session_unlock(relation, ShareUpdateExclusiveLock);
    end_pace();
    GUARD_END();
}
