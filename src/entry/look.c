/*
 * look.c - the SQL functions that look at a migration's rows.
 */
#include "entry/entry.h"

#include "api/api.h"

PG_FUNCTION_INFO_V1(zdm_verify);
PG_FUNCTION_INFO_V1(zdm_repair);
PG_FUNCTION_INFO_V1(zdm_assert_ready);

Datum zdm_verify(PG_FUNCTION_ARGS) {
    int64_t count;

    CALL(zdm_api_verify(name_argument(fcinfo), &count));
    PG_RETURN_INT64(count);
}

Datum zdm_repair(PG_FUNCTION_ARGS) {
    int64_t count;

    CALL(zdm_api_repair(name_argument(fcinfo), &count));
    PG_RETURN_INT64(count);
}

Datum zdm_assert_ready(PG_FUNCTION_ARGS) {
    CALL(zdm_api_assert_ready(name_argument(fcinfo)));
    PG_RETURN_BOOL(true);
}
