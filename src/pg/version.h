/*
 * version.h - every difference between server versions 15 to 18 (ready for 19), and nothing else.
 */
#pragma once

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "zdm needs PostgreSQL 15 or later"
#endif

#include "parser/parse_type.h"

/* 16 reports errors softly where asked to. */
static inline void zdm_parse_type_string(const char *text, Oid *type, int32 *typmod) {
#if PG_VERSION_NUM >= 160000
    (void)parseTypeString(text, type, typmod, NULL);
#else
    parseTypeString(text, type, typmod, false);
#endif
}
