/*
 * guard.h - the one place where a server ERROR becomes a return value.
 *
 *     ErrorData *zdm_something(...) {
 *         GUARD_BEGIN();
 *         ... any server code, may ereport(ERROR) ...
 *         GUARD_END();
 *     }
 *
 * Never return or goto out of the body: PG_TRY forbids it.
 */
#pragma once

#include "postgres.h"

#include "pg/bridge.h"

extern ErrorData *zdm_error_capture(MemoryContext context);

/* Raises an error, which the server frees. Call only from C, with no C++ frame to skip. */
extern void zdm_error_raise(ErrorData *error) __attribute__((noreturn));

/* What every statement of zdm runs under, and canonical expressions are parsed under. */
#define ZDM_SEARCH_PATH "pg_catalog, pg_temp"

#define GUARD_BEGIN()                                   \
    MemoryContext guard_context = CurrentMemoryContext; \
    ErrorData *volatile guard_error = NULL;             \
    PG_TRY();                                           \
    {
#define GUARD_END()                                     \
    }                                                   \
    PG_CATCH();                                         \
    { guard_error = zdm_error_capture(guard_context); } \
    PG_END_TRY();                                       \
    return guard_error
