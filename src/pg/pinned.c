/*
 * pinned.c - the settings that zdm's texts are written and read under, see pinned.h.
 */
#include "pg/pinned.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "utils/float.h"
#include "utils/guc.h"

#include "pg/guard.h"

void zdm_set(const char *name, const char *value) {
    (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                            false);
}

void zdm_set_lock_timeout(double timeout_ms) {
    zdm_set("lock_timeout", psprintf("%d", timeout_ms < 1 ? 1 : (int)timeout_ms));
}

/* A hand-written search_path may put anything before pg_catalog. */
static bool parser_is_pinned(void) {
    return standard_conforming_strings && strcmp(namespace_search_path, ZDM_SEARCH_PATH) == 0;
}

bool zdm_settings_are_pinned(void) {
    return parser_is_pinned() && DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES &&
           extra_float_digits > 0;
}

int zdm_pin_parser(void) {
    int nest = NewGUCNestLevel();

    if (!parser_is_pinned()) {
        zdm_set("search_path", ZDM_SEARCH_PATH);
        zdm_set("standard_conforming_strings", "on");
    }
    return nest;
}

int zdm_pin_settings(void) {
    int nest = zdm_pin_parser();

    if (!zdm_settings_are_pinned()) {
        zdm_set("DateStyle", "ISO");
        zdm_set("IntervalStyle", "postgres");
        zdm_set("extra_float_digits", "3");
    }
    return nest;
}

void zdm_apply_settings(const char *settings) {
    char *copy = pstrdup(settings);
    char *rest = NULL;

    for (char *item = strtok_r(copy, ";", &rest); item != NULL; item = strtok_r(NULL, ";", &rest)) {
        char *equals = strchr(item, '=');

        if (equals == NULL) continue;
        *equals = '\0';
        zdm_set(item, equals + 1);
    }
    pfree(copy);
}
