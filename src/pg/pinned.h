/*
 * pinned.h - the settings that zdm's texts are written and read under. For .c files and src/hot
 * only (sees postgres.h).
 *
 * An expression is parsed under the settings of whoever wrote it ('01/02/2019' is a day in January
 * or in February), turned into text under these, and that text is parsed under these again, in the
 * worker as in the applications' sessions. They are those of pg_dump, and for the same reason.
 */
#pragma once

#include "postgres.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What statements and canonical expressions are read under: names and string literals mean the same
 * in every session. Returns the nest level for AtEOXact_GUC. */
extern int zdm_pin_parser(void);
/* The same, and constants are written so that they mean the same in every session. */
extern int zdm_pin_settings(void);
/* Whether they stand so already: setting them takes longer than many a look into the catalogs. */
extern bool zdm_settings_are_pinned(void);

/* In the current nest level: what was before is there again when that ends. */
extern void zdm_set(const char *name, const char *value);
/* The same of lock_timeout; less than a millisecond is one, for none would be no limit. */
extern void zdm_set_lock_timeout(double timeout_ms);
/* The same of name=value;... */
extern void zdm_apply_settings(const char *settings);

#ifdef __cplusplus
}
#endif
