/*
 * entry.h - how an SQL function calls C++: with SPI at hand, and raising what comes back only when
 * no C++ frame is left on the stack.
 */
#pragma once

#include "pg/guard.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

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
