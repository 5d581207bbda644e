/*
 * bridge.h - everything C++ may ask of the server, in plain C types.
 *
 * Every function that can fail returns NULL on success or an ErrorData that the caller owns.
 * None of them ever longjmps out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pg/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* error.c */
ErrorData *zdm_error_make(const char *sqlstate, const char *message, const char *detail,
                          const char *hint);
void zdm_error_free(ErrorData *error);
const char *zdm_error_message(const ErrorData *error);
const char *zdm_error_detail(const ErrorData *error);
const char *zdm_error_sqlstate(const ErrorData *error);

#ifdef __cplusplus
}
#endif
