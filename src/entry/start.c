/*
 * start.c - the SQL functions that start a migration.
 */
#include "entry/entry.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "api/api.h"

PG_FUNCTION_INFO_V1(zdm_change_type);
PG_FUNCTION_INFO_V1(zdm_rename_column);
PG_FUNCTION_INFO_V1(zdm_replace_columns);
PG_FUNCTION_INFO_V1(zdm_add_column);
PG_FUNCTION_INFO_V1(zdm_set_not_null);
PG_FUNCTION_INFO_V1(zdm_drop_column);
PG_FUNCTION_INFO_V1(zdm_add_constraint);
PG_FUNCTION_INFO_V1(zdm_split_table);
PG_FUNCTION_INFO_V1(zdm_create_index);
PG_FUNCTION_INFO_V1(zdm_drop_index);

static Oid relation_argument(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(0))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                        errmsg("zdm: relation cannot be NULL: name the table to migrate")));
    return PG_GETARG_OID(0);
}

static ZdmTextArray array_argument(FunctionCallInfo fcinfo, int n) {
    ZdmTextArray array = {.count = -1};
    Datum *elements;
    bool *nulls;
    const char **values;

    if (PG_ARGISNULL(n)) return array;
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(n), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls,
                      &array.count);
    values = palloc(sizeof(char *) * (array.count + 1));
    for (int i = 0; i < array.count; i++)
        values[i] = nulls[i] ? NULL : TextDatumGetCString(elements[i]);
    array.values = values;
    return array;
}

Datum zdm_change_type(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_change_type(relation_argument(fcinfo), text_argument(fcinfo, 1),
                             text_argument(fcinfo, 2), text_argument(fcinfo, 3),
                             text_argument(fcinfo, 4), PG_ARGISNULL(5) || PG_GETARG_BOOL(5),
                             text_argument(fcinfo, 6), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_rename_column(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_rename_column(relation_argument(fcinfo), text_argument(fcinfo, 1),
                               text_argument(fcinfo, 2), text_argument(fcinfo, 3), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_replace_columns(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_replace_columns(relation_argument(fcinfo), array_argument(fcinfo, 1),
                                 array_argument(fcinfo, 2), array_argument(fcinfo, 3),
                                 array_argument(fcinfo, 4), text_argument(fcinfo, 5), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_create_index(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_create_index(text_argument(fcinfo, 0), text_argument(fcinfo, 1), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_drop_index(PG_FUNCTION_ARGS) {
    const char *result;

    if (PG_ARGISNULL(0))
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                        errmsg("zdm: index cannot be NULL: name the index to drop")));
    CALL(zdm_api_drop_index(PG_GETARG_OID(0), text_argument(fcinfo, 1), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_add_column(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_add_column(relation_argument(fcinfo), text_argument(fcinfo, 1),
                            text_argument(fcinfo, 2), text_argument(fcinfo, 3),
                            !PG_ARGISNULL(4) && PG_GETARG_BOOL(4), text_argument(fcinfo, 5),
                            text_argument(fcinfo, 6), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_set_not_null(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_set_not_null(relation_argument(fcinfo), text_argument(fcinfo, 1),
                              text_argument(fcinfo, 2), text_argument(fcinfo, 3), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_drop_column(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_drop_column(relation_argument(fcinfo), text_argument(fcinfo, 1),
                             text_argument(fcinfo, 2), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_add_constraint(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_add_constraint(relation_argument(fcinfo), text_argument(fcinfo, 1),
                                text_argument(fcinfo, 2), text_argument(fcinfo, 3), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}

Datum zdm_split_table(PG_FUNCTION_ARGS) {
    const char *result;

    CALL(zdm_api_split_table(relation_argument(fcinfo), text_argument(fcinfo, 1),
                             array_argument(fcinfo, 2), text_argument(fcinfo, 3), &result));
    PG_RETURN_TEXT_P(cstring_to_text(result));
}
