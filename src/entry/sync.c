/*
 * sync.c - the SQL functions of the sync triggers; what they do is in hot/row_trigger.cpp (old and
 * new columns of one table) and hot/mirror.cpp (the two tables of a split).
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"

#include "hot/hot.h"

PG_FUNCTION_INFO_V1(zdm_sync);

Datum zdm_sync(PG_FUNCTION_ARGS) {
    TriggerData *data = (TriggerData *)fcinfo->context;

    if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(data->tg_event) ||
        !TRIGGER_FIRED_FOR_ROW(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event))
        ereport(
            ERROR,
            (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
             errmsg(
                 "zdm.sync can only be called as a trigger BEFORE INSERT OR UPDATE FOR EACH ROW")));
    return PointerGetDatum(zdm_hot_sync(fcinfo));
}

PG_FUNCTION_INFO_V1(zdm_mirror);

Datum zdm_mirror(PG_FUNCTION_ARGS) {
    TriggerEvent event = CALLED_AS_TRIGGER(fcinfo) ? ((TriggerData *)fcinfo->context)->tg_event : 0;
    bool row_after = TRIGGER_FIRED_FOR_ROW(event) && TRIGGER_FIRED_AFTER(event);
    bool row_before_insert = TRIGGER_FIRED_FOR_ROW(event) && TRIGGER_FIRED_BEFORE(event) &&
                             TRIGGER_FIRED_BY_INSERT(event);
    bool after_truncate = TRIGGER_FIRED_BY_TRUNCATE(event) && TRIGGER_FIRED_AFTER(event);

    /* Anybody may make a trigger of it, and where no row is at hand there is none to read. */
    if (!CALLED_AS_TRIGGER(fcinfo) || !(row_after || row_before_insert || after_truncate))
        ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
                        errmsg("zdm.mirror can only be called as a trigger BEFORE INSERT or AFTER "
                               "INSERT, UPDATE OR DELETE FOR EACH ROW, or AFTER TRUNCATE")));
    return zdm_hot_mirror(fcinfo);
}
