/*
 * spi.c - SQL through SPI with text parameters and text results.
 *
 * zdm's own statements have fixed texts and run thousands of times (one row of state a batch), so
 * their plans are kept for the session, found by their address. Generic ones: the server would
 * otherwise plan the first five runs one by one, most of them under the lock of a cutover.
 */
#include "pg/guard.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "jit/jit.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "pg/pinned.h"

typedef struct KeptPlan {
    const char *sql; /* hash key: the text's address, for texts are constants */
    SPIPlanPtr plan;
} KeptPlan;

static HTAB *kept_plans = NULL;

static SPIPlanPtr kept_plan(const char *sql, int count, Oid *types) {
    KeptPlan *entry;
    bool found;

    if (kept_plans == NULL) {
        HASHCTL control = {.keysize = sizeof(char *), .entrysize = sizeof(KeptPlan)};

        kept_plans = hash_create("zdm plans", 64, &control, HASH_ELEM | HASH_BLOBS);
    }
    entry = hash_search(kept_plans, &sql, HASH_FIND, NULL);
    if (entry == NULL) {
        SPIPlanPtr plan = SPI_prepare_cursor(sql, count, types, CURSOR_OPT_GENERIC_PLAN);

        if (plan == NULL) elog(ERROR, "SPI: %s", SPI_result_code_string(SPI_result));
        SPI_keepplan(plan);
        entry = hash_search(kept_plans, &sql, HASH_ENTER, &found);
        entry->plan = plan;
    }
    return entry->plan;
}

/*
 * A caller's search_path may put anything before pg_catalog; what zdm asks the server (who owns
 * this table?) and what it writes as the extension's owner must not be answered by a caller's
 * function. And compiling a look into the catalogs takes longer than the look.
 */
static int pin_settings(void) {
    int nest;

    if (!jit_enabled && zdm_settings_are_pinned()) return 0;
    nest = zdm_pin_settings();
    zdm_set("jit", "off");
    return nest;
}

static void take_result(int status, ZdmResult *result) {
    if (status < 0) elog(ERROR, "SPI: %s", SPI_result_code_string(status));
    result->rows = SPI_processed;
    result->table = SPI_tuptable;
    result->columns = SPI_tuptable ? SPI_tuptable->tupdesc->natts : 0;
}

ErrorData *zdm_sql_execute(const char *sql, int count, const char *const *values, ZdmPlan plan,
                           ZdmResult *result) {
    GUARD_BEGIN();
    Oid *types = palloc(sizeof(Oid) * (count + 1));
    Datum *datums = palloc(sizeof(Datum) * (count + 1));
    char *nulls = palloc0(count + 1);
    int status;
    int nest = pin_settings();

    for (int i = 0; i < count; i++) {
        types[i] = TEXTOID;
        nulls[i] = values[i] ? ' ' : 'n';
        datums[i] = values[i] ? CStringGetTextDatum(values[i]) : (Datum)0;
    }
    if (plan == ZDM_PLAN_KEPT_LATEST) {
        PushActiveSnapshot(GetLatestSnapshot());
        status = SPI_execute_plan(kept_plan(sql, count, types), datums, nulls, true, 0);
        PopActiveSnapshot();
    } else if (plan == ZDM_PLAN_KEPT)
        status = SPI_execute_plan(kept_plan(sql, count, types), datums, nulls, false, 0);
    else
        status = SPI_execute_with_args(sql, count, types, datums, nulls, false, 0);
    take_result(status, result);
    if (nest > 0) AtEOXact_GUC(true, nest);
    GUARD_END();
}

/* What it reads is zdm's text, what it gives is the user's. */
ErrorData *zdm_sql_evaluate(const char *sql, const char *settings, ZdmResult *result) {
    GUARD_BEGIN();
    int nest = zdm_pin_parser();

    zdm_apply_settings(settings);
    take_result(SPI_execute(sql, false, 0), result);
    AtEOXact_GUC(true, nest);
    GUARD_END();
}

ErrorData *zdm_sql_value(const ZdmResult *result, uint64_t row, int column, const char **value) {
    GUARD_BEGIN();
    SPITupleTable *table = result->table;

    *value = SPI_getvalue(table->vals[row], table->tupdesc, column);
    GUARD_END();
}

void zdm_sql_free(const ZdmResult *result) {
    if (result->table != NULL) SPI_freetuptable(result->table);
}

ErrorData *zdm_quote_identifier(const char *name, const char **quoted) {
    GUARD_BEGIN();
    *quoted = quote_identifier(name);
    GUARD_END();
}

ErrorData *zdm_quote_literal(const char *text, const char **quoted) {
    GUARD_BEGIN();
    *quoted = quote_literal_cstr(text);
    GUARD_END();
}

ErrorData *zdm_clip_text(const char *text, int bytes, int *kept) {
    GUARD_BEGIN();
    *kept = pg_mbcliplen(text, strlen(text), bytes);
    GUARD_END();
}

ErrorData *zdm_copy_text(const char *text, const char **copy) {
    GUARD_BEGIN();
    size_t size = strlen(text) + 1;

    *copy = memcpy(SPI_palloc(size), text, size);
    GUARD_END();
}
