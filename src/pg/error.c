/*
 * error.c - ErrorData that outlives the C++ frames it travels through.
 *
 * Every copy lives in a small memory context of its own below TopMemoryContext: the contexts of
 * SPI and of the transaction may be gone before it is raised again, and FreeErrorData() does not
 * free all that CopyErrorData() allocates.
 */
#include "pg/guard.h"

#include "utils/memutils.h"

/* Of what zdm_error_make() makes: no user's code can raise an error of that domain. */
#define OWN_DOMAIN "zdm"

/* What we report when there is no memory left to report anything else. */
static ErrorData out_of_memory = {
    .elevel = ERROR,
    .output_to_server = true,
    .output_to_client = true,
    .sqlerrcode = ERRCODE_OUT_OF_MEMORY,
    .message = (char *)"out of memory while reporting an error",
};

/* Takes the current error off the server's error stack. */
ErrorData *zdm_error_capture(MemoryContext context) {
    ErrorData *volatile copy = &out_of_memory;

    PG_TRY();
    {
        MemoryContextSwitchTo(
            AllocSetContextCreate(TopMemoryContext, "zdm error", ALLOCSET_SMALL_SIZES));
        copy = CopyErrorData();
    }
    PG_CATCH();
    { copy = &out_of_memory; }
    PG_END_TRY();

    FlushErrorState();
    MemoryContextSwitchTo(context);
    return copy;
}

/*
 * CopyErrorData() copies what names the place in the source, ReThrowError() does not: those strings
 * have to stay until the error was reported, which is when the server resets its ErrorContext.
 */
void zdm_error_raise(ErrorData *error) {
    if (error != &out_of_memory) MemoryContextSetParent(error->assoc_context, ErrorContext);
    ReThrowError(error);
    pg_unreachable();
}

/* Builds an error as ereport() would here: call context, file, log flags. */
ErrorData *zdm_error_make(const char *sqlstate, const char *message, const char *detail,
                          const char *hint) {
    GUARD_BEGIN();
    ereport_domain(
        ERROR, OWN_DOMAIN,
        (errcode(MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4])),
         errmsg_internal("%s", message), *detail ? errdetail_internal("%s", detail) : 0,
         *hint ? errhint("%s", hint) : 0));
    GUARD_END();
}

void zdm_error_free(ErrorData *error) {
    if (error != NULL && error != &out_of_memory) MemoryContextDelete(error->assoc_context);
}

const char *zdm_error_message(const ErrorData *error) {
    return error->message ? error->message : "";
}

const char *zdm_error_detail(const ErrorData *error) { return error->detail ? error->detail : ""; }

const char *zdm_error_sqlstate(const ErrorData *error) {
    return unpack_sql_state(error->sqlerrcode);
}

const char *zdm_error_format(const ErrorData *error) {
    return error->message_id ? error->message_id : "";
}

bool zdm_error_is_own(const ErrorData *error) {
    return (error->domain != NULL && strcmp(error->domain, OWN_DOMAIN) == 0) ||
           strncmp(zdm_error_format(error), "zdm: ", strlen("zdm: ")) == 0;
}

bool zdm_error_has_place(const ErrorData *error) {
    return error->cursorpos > 0 || error->internalpos > 0;
}

ErrorData *zdm_warn(const char *message) {
    GUARD_BEGIN();
    ereport(WARNING, (errmsg_internal("%s", message)));
    GUARD_END();
}
