// See describe.hpp. No exceptions, no destructors, longjmp may pass.
#include "hot/describe.hpp"

extern "C" {
#include "access/genam.h"
#include "catalog/index.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
}

namespace zdm {

namespace {

char *output(Oid type, Datum value) {
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(type, &function, &is_varlena);
    return OidOutputFunctionCall(function, value);
}

}  // namespace

char *describe_key(Relation relation, TupleTableSlot *row, ItemPointer place) {
    StringInfoData text;
    initStringInfo(&text);
    Bitmapset *key = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
    int member = -1;
    while ((member = bms_next_member(key, member)) >= 0) {
        const AttrNumber attnum = member + FirstLowInvalidHeapAttributeNumber;
        Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
        bool is_null;
        const Datum value = slot_getattr(row, attnum, &is_null);
        appendStringInfoString(&text, text.len == 0 ? "{" : ", ");
        escape_json(&text, NameStr(attribute->attname));
        appendStringInfoString(&text, ": ");
        escape_json(&text, output(attribute->atttypid, value));
    }
    if (text.len == 0)
        appendStringInfo(&text, "{\"ctid\": \"(%u,%u)\"", ItemPointerGetBlockNumber(place),
                         ItemPointerGetOffsetNumber(place));
    appendStringInfoChar(&text, '}');
    return text.data;
}

char *describe_side(const SyncSide &side, TupleTableSlot *row, const Datum *values,
                    const bool *nulls) {
    StringInfoData text;
    initStringInfo(&text);
    bool any = false;
    for (int i = 0; i < side.count; i++) {
        bool is_null = values != nullptr && nulls[i];
        const Datum value =
            values != nullptr ? values[i] : slot_getattr(row, side.columns[i].attnum, &is_null);
        if (i > 0) appendStringInfoChar(&text, ',');
        if (is_null) continue;
        any = true;
        appendStringInfoString(&text, output(side.columns[i].type, value));
    }
    if (!any) return nullptr;
    return side.count == 1 ? text.data : psprintf("(%s)", text.data);
}

}  // namespace zdm
