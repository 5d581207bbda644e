/*
 * entry.h - how an SQL function calls C++: with SPI at hand, and raising what comes back only when
 * no C++ frame is left on the stack.
 */
#pragma once

#include "pg/guard.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* SPI's memory goes with SPI_finish(), so results are copied by SPI_palloc in zdm_copy_text(). */
#define CALL(call)                                   \
    do {                                             \
        ErrorData *call_error;                       \
        SPI_connect();                               \
        call_error = (call);                         \
        if (call_error) zdm_error_raise(call_error); \
        SPI_finish();                                \
    } while (0)

static inline const char *text_argument(FunctionCallInfo fcinfo, int n) {
    return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* Nothing found by whoever looks a name up must not pass for something done. */
static inline void require_argument(FunctionCallInfo fcinfo, int n, const char *what) {
    if (PG_ARGISNULL(n))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                        errmsg("zdm: %s: %s cannot be NULL", get_func_name(fcinfo->flinfo->fn_oid),
                               what)));
}

static inline const char *name_argument(FunctionCallInfo fcinfo) {
    require_argument(fcinfo, 0, "a migration's name");
    return text_argument(fcinfo, 0);
}
