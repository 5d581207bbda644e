/*
 * steer.c - the SQL functions that steer a migration.
 */
#include "entry/entry.h"

#include "nodes/parsenodes.h"

#include "api/api.h"

PG_FUNCTION_INFO_V1(zdm_cutover);
PG_FUNCTION_INFO_V1(zdm_revert);
PG_FUNCTION_INFO_V1(zdm_contract);
PG_FUNCTION_INFO_V1(zdm_abort);
PG_FUNCTION_INFO_V1(zdm_pause);
PG_FUNCTION_INFO_V1(zdm_resume);
PG_FUNCTION_INFO_V1(zdm_configure);
PG_FUNCTION_INFO_V1(zdm_wait);
PG_FUNCTION_INFO_V1(zdm_wake);
PG_FUNCTION_INFO_V1(zdm_pause_all);
PG_FUNCTION_INFO_V1(zdm_resume_all);

#define STEER(function, api)                       \
    Datum function(PG_FUNCTION_ARGS) {             \
        const char *result;                        \
                                                   \
        CALL(api(name_argument(fcinfo), &result)); \
        PG_RETURN_TEXT_P(cstring_to_text(result)); \
    }

STEER(zdm_cutover, zdm_api_cutover)
STEER(zdm_revert, zdm_api_revert)
STEER(zdm_abort, zdm_api_abort)
STEER(zdm_pause, zdm_api_pause)
STEER(zdm_resume, zdm_api_resume)

Datum zdm_contract(PG_FUNCTION_ARGS) {
    const char *result;

    require_argument(fcinfo, 1, "force");
    CALL(zdm_api_contract(name_argument(fcinfo), PG_GETARG_BOOL(1), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_configure(PG_FUNCTION_ARGS) {
    const char *result;

    require_argument(fcinfo, 1, "a setting's name");
    CALL(zdm_api_configure(name_argument(fcinfo), text_argument(fcinfo, 1),
                           text_argument(fcinfo, 2), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

/* Commits between polls, so its arguments are copied to memory that outlives a transaction's. */
Datum zdm_wait(PG_FUNCTION_ARGS) {
    bool atomic = !(fcinfo->context && IsA(fcinfo->context, CallContext) &&
                    !castNode(CallContext, fcinfo->context)->atomic);
    const char *name = name_argument(fcinfo);
    const char *phase = text_argument(fcinfo, 1);
    ErrorData *error;

    require_argument(fcinfo, 1, "a phase");
    SPI_connect_ext(atomic ? 0 : SPI_OPT_NONATOMIC);
    error = zdm_api_wait(name, phase, !PG_ARGISNULL(2), PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2),
                         atomic);
    if (error) zdm_error_raise(error);
    SPI_finish();
    PG_RETURN_VOID();
}

Datum zdm_wake(PG_FUNCTION_ARGS) {
    int32_t unfinished;

    CALL(zdm_api_wake(&unfinished));
    PG_RETURN_INT32(unfinished);
}

Datum zdm_pause_all(PG_FUNCTION_ARGS) {
    int32_t unfinished;

    CALL(zdm_api_pause_all(&unfinished));
    PG_RETURN_INT32(unfinished);
}

Datum zdm_resume_all(PG_FUNCTION_ARGS) {
    int32_t unfinished;

    CALL(zdm_api_resume_all(&unfinished));
    PG_RETURN_INT32(unfinished);
}
