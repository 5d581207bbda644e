// The mirror: keeps the two tables of a split equal. Its triggers are on both; each brings the row
// of one key over to the other table, as it is in its own table at that moment. So neither the
// order of events nor how often one is handled matters: keys that are exchanged in one statement,
// rows that another trigger changes again, a row that the backfill copies meanwhile.
//
// The source's row is locked before the part's, by all but an UPDATE or DELETE of the part itself
// (the server locks its row before any trigger is asked). The other table is written as its owner,
// as foreign keys do.
//
// Rules of this folder: no exceptions, no destructors, longjmp may pass.
#include "hot/hot.h"
#include "hot/mirror.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "pg/version.h"
}

using namespace zdm;

namespace {

Mirror *mirrors = nullptr;
bool watching = false;

// Whose statement of ours is under way, and at which depth: the other table's trigger, one deeper,
// has nothing to bring back.
struct {
    const char *name;
    int depth;
} writing = {nullptr, 0};

// The worker that copies rows writes the part itself.
char copied_by_us[NAMEDATALEN] = "";

int trigger_depth() { return DatumGetInt32(pg_trigger_depth(nullptr)); }

void relation_changed(Datum, Oid relation) {
    for (Mirror *mirror = mirrors; mirror != nullptr; mirror = mirror->next)
        if (relation == InvalidOid || relation == mirror->mine || relation == mirror->other)
            mirror->stale = true;
}

// A statement may still run on a stale one (it is being written by a trigger further up), so those
// go when the transaction does.
void transaction_ended(XactEvent event, void *) {
    if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT) return;
    for (Mirror **link = &mirrors; *link != nullptr;) {
        Mirror *mirror = *link;
        if (!mirror->stale) {
            link = &mirror->next;
            continue;
        }
        *link = mirror->next;
        for (SPIPlanPtr plan : mirror->plans)
            if (plan != nullptr) SPI_freeplan(plan);
        MemoryContextDelete(mirror->context);
    }
}

// Whether a trigger's arguments (see engine.h) tell of the same split, seen from its other table.
bool is_counterpart(HeapTuple tuple, TupleDesc descriptor, int count, char **arguments) {
    bool null;
    const Datum stored = heap_getattr(tuple, Anum_pg_trigger_tgargs, descriptor, &null);
    if (null || reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple))->tgnargs != count) return false;
    const char *argument = VARDATA_ANY(DatumGetByteaPP(stored));
    for (int i = 0; i < count; i++, argument += strlen(argument) + 1) {
        const bool is_same = strcmp(argument, arguments[i]) == 0;
        if (i == 1 ? is_same : i != 2 && !is_same) return false;
    }
    return true;
}

// The other table: it has the trigger of the same name. OIDs would not outlive a dump, nor names of
// tables a rename. And it has the same owner, as whom it is written: anybody may make a trigger of
// that name on a table of his own. Nothing where there are several.
Oid find_other(Oid function, Relation mine, int count, char **arguments) {
    ScanKeyData key;
    Oid other = InvalidOid;
    bool unique = true;
    Relation triggers = table_open(TriggerRelationId, AccessShareLock);
    ScanKeyInit(&key, Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ,
                CStringGetDatum(arguments[0]));
    SysScanDesc scan = systable_beginscan(triggers, InvalidOid, false, nullptr, 1, &key);
    for (HeapTuple tuple; HeapTupleIsValid(tuple = systable_getnext(scan));) {
        auto *form = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
        if (form->tgfoid != function || form->tgrelid == RelationGetRelid(mine)) continue;
        if (!is_counterpart(tuple, RelationGetDescr(triggers), count, arguments)) continue;
        HeapTuple table = SearchSysCache1(RELOID, ObjectIdGetDatum(form->tgrelid));
        if (!HeapTupleIsValid(table)) continue;
        const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(table))->relowner;
        ReleaseSysCache(table);
        if (owner != mine->rd_rel->relowner) continue;
        unique = !OidIsValid(other);
        other = form->tgrelid;
    }
    systable_endscan(scan);
    table_close(triggers, AccessShareLock);
    return unique ? other : InvalidOid;
}

// The operators that the part's primary key compares with.
bool find_operators(Mirror *mirror, Relation part) {
    const Oid index = zdm_primary_key_index(part);
    if (!OidIsValid(index)) return false;
    Relation key = index_open(index, AccessShareLock);
    bool found = key->rd_index->indnkeyatts == mirror->key_count;
    for (int i = 0; found && i < mirror->key_count; i++) {
        const AttrNumber column = get_attnum(RelationGetRelid(part), mirror->key_names[i]);
        found = false;
        for (int j = 0; j < mirror->key_count; j++) {
            if (key->rd_index->indkey.values[j] != column) continue;
            const Oid equals = get_opfamily_member(key->rd_opfamily[j], key->rd_opcintype[j],
                                                   key->rd_opcintype[j], BTEqualStrategyNumber);
            HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(equals));
            if (!HeapTupleIsValid(tuple)) continue;
            auto *form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
            const char *schema = quote_identifier(get_namespace_name(form->oprnamespace));
            mirror->operators[i] = MemoryContextStrdup(
                mirror->context, psprintf("OPERATOR(%s.%s)", schema, NameStr(form->oprname)));
            ReleaseSysCache(tuple);
            found = true;
        }
    }
    index_close(key, AccessShareLock);
    return found;
}

// Arguments: see engine.h.
bool read_arguments(Mirror *mirror, Relation mine, int count, char **arguments) {
    if (count < 5) return false;
    strlcpy(mirror->name, arguments[0], NAMEDATALEN);
    mirror->is_source = strcmp(arguments[1], "source") == 0;
    mirror->trusts_part = strcmp(arguments[2], "new") == 0;
    mirror->key_count = pg_strtoint32(arguments[3]);
    mirror->column_count = count - 4 - mirror->key_count;
    if (mirror->key_count < 1 || mirror->column_count < 1) return false;
    const int names = mirror->key_count + mirror->column_count;
    mirror->keys = static_cast<AttrNumber *>(palloc0(sizeof(AttrNumber) * names));
    mirror->columns = mirror->keys + mirror->key_count;
    mirror->key_names = static_cast<char **>(palloc0(sizeof(char *) * names));
    mirror->column_names = mirror->key_names + mirror->key_count;
    mirror->operators = static_cast<char **>(palloc0(sizeof(char *) * mirror->key_count));
    for (int i = 0; i < names; i++) {
        mirror->key_names[i] = pstrdup(arguments[4 + i]);
        mirror->keys[i] = get_attnum(RelationGetRelid(mine), arguments[4 + i]);
        if (mirror->keys[i] == InvalidAttrNumber) return false;
    }
    return true;
}

bool has_rewriting_triggers(Relation relation, Oid ours) {
    for (int i = 0; relation->trigdesc != nullptr && i < relation->trigdesc->numtriggers; i++) {
        const Trigger *trigger = &relation->trigdesc->triggers[i];
        if (TRIGGER_FOR_ROW(trigger->tgtype) && TRIGGER_FOR_BEFORE(trigger->tgtype) &&
            trigger->tgfoid != ours)
            return true;
    }
    return false;
}

// False where writes have to pass as they are: verify tells what they have parted.
bool describe(Mirror *mirror, Relation mine, Oid function, int count, char **arguments) {
    if (!read_arguments(mirror, mine, count, arguments)) return false;
    mirror->other = find_other(function, mine, count, arguments);
    Relation other =
        OidIsValid(mirror->other) ? try_table_open(mirror->other, AccessShareLock) : nullptr;
    if (other == nullptr) return false;
    mirror->other_owner = other->rd_rel->relowner;
    bool found = find_operators(mirror, mirror->is_source ? other : mine);
    for (int i = 0; i < mirror->key_count + mirror->column_count; i++)
        if (get_attnum(mirror->other, mirror->key_names[i]) == InvalidAttrNumber) found = false;
    mirror->other_rewrites = has_rewriting_triggers(other, function);
    // An owner can take rights from himself: an application's write must not fail for it.
    if (pg_class_aclcheck(mirror->mine, mirror->other_owner, ACL_SELECT) != ACLCHECK_OK)
        found = false;
    table_close(other, AccessShareLock);
    return found;
}

Mirror *mirror_of(Relation mine, Oid trigger, Oid function, int count, char **arguments) {
    for (Mirror *mirror = mirrors; mirror != nullptr; mirror = mirror->next)
        if (mirror->trigger == trigger && !mirror->stale) return mirror;
    if (!watching) {
        CacheRegisterRelcacheCallback(relation_changed, 0);
        RegisterXactCallback(transaction_ended, nullptr);
        watching = true;
    }
    MemoryContext context =
        AllocSetContextCreate(CurrentMemoryContext, "zdm mirror", ALLOCSET_SMALL_SIZES);
    MemoryContext before = MemoryContextSwitchTo(context);
    auto *fresh = static_cast<Mirror *>(palloc0(sizeof(Mirror)));
    fresh->context = context;
    fresh->trigger = trigger;
    fresh->mine = RelationGetRelid(mine);
    fresh->usable = describe(fresh, mine, function, count, arguments);
    MemoryContextSwitchTo(before);
    MemoryContextSetParent(context, TopMemoryContext);
    fresh->next = mirrors;
    mirrors = fresh;
    if (!fresh->usable)
        ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                          errmsg("zdm does not sync table \"%s\": its other part or a column of it "
                                 "is missing, or has "
                                 "another owner or one without rights; SELECT * FROM zdm.status",
                                 RelationGetRelationName(mine))));
    return fresh;
}

int parameter_count(const Mirror *mirror, Statement statement) {
    if (statement == empty_part || statement == clear_source) return 0;
    if (statement == replace_row) return mirror->key_count + mirror->default_count;
    return statement == move_row ? 2 * mirror->key_count : mirror->key_count;
}

// SPI is connected, and the other table's owner at work.
SPIPlanPtr plan_of(Mirror *mirror, Statement statement) {
    if (mirror->plans[statement] != nullptr) return mirror->plans[statement];
    StringInfoData text;
    initStringInfo(&text);
    append_statement(&text, mirror, statement);
    Oid types[INDEX_MAX_KEYS + MaxHeapAttributeNumber];
    for (int i = 0; i < 2 * mirror->key_count; i++)
        types[i] = get_atttype(mirror->mine, mirror->keys[i % mirror->key_count]);
    if (statement == replace_row)
        memcpy(types + mirror->key_count, mirror->default_types,
               sizeof(Oid) * mirror->default_count);
    SPIPlanPtr plan = SPI_prepare(text.data, parameter_count(mirror, statement), types);
    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "zdm: SPI_prepare failed for %s: %s", text.data,
             SPI_result_code_string(SPI_result));
    mirror->plans[statement] = plan;
    return plan;
}

uint64 execute(Mirror *mirror, Statement statement, Datum *keys) {
    SPIPlanPtr plan = plan_of(mirror, statement);
    Datum values[INDEX_MAX_KEYS + MaxHeapAttributeNumber];
    for (int i = 0; i < parameter_count(mirror, statement); i++)
        values[i] = statement == replace_row && i >= mirror->key_count
                        ? mirror->default_values[i - mirror->key_count]
                        : keys[i];
    Snapshot snapshot = InvalidSnapshot;
    // A snapshot of before the other table's row was made must not fail the write for it.
    if (IsolationUsesXactSnapshot()) {
        CommandCounterIncrement();
        snapshot = GetLatestSnapshot();
    }
    const int result =
        SPI_execute_snapshot(plan, values, nullptr, snapshot, InvalidSnapshot, false, true, 0);
    if (result < 0)
        elog(ERROR, "zdm: SPI_execute_snapshot failed: %s", SPI_result_code_string(result));
    return SPI_processed;
}

uint64 run(Mirror *mirror, Statement statement, Datum *values) {
    const auto before = writing;
    volatile uint64 rows = 0;
    Oid user;
    int context;
    GetUserIdAndSecContext(&user, &context);
    PG_TRY();
    {
        writing = {mirror->name, trigger_depth()};
        SetUserIdAndSecContext(mirror->other_owner,
                               context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
        if (SPI_connect() != SPI_OK_CONNECT) elog(ERROR, "zdm: SPI_connect failed");
        rows = execute(mirror, statement, values);
        SPI_finish();
        SetUserIdAndSecContext(user, context);
    }
    PG_FINALLY();
    { writing = before; }
    PG_END_TRY();
    return rows;
}

// The row's key; of a primary key, so none is NULL.
void key_of(const Mirror *mirror, TupleTableSlot *row, Datum *values) {
    for (int i = 0; i < mirror->key_count; i++) {
        bool null;
        values[i] = slot_getattr(row, mirror->keys[i], &null);
        if (null)
            ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
                            errmsg("null value in column \"%s\" violates not-null constraint",
                                   mirror->key_names[i])));
    }
}

// By their bytes: what compares as equal (1.0 and 1.00) must come over as well.
bool differs(TupleTableSlot *before, TupleTableSlot *after, const AttrNumber *columns, int count) {
    TupleDesc descriptor = before->tts_tupleDescriptor;
    for (int i = 0; i < count; i++) {
        bool null_before, null_after;
        const Datum old_value = slot_getattr(before, columns[i], &null_before);
        const Datum new_value = slot_getattr(after, columns[i], &null_after);
        if (null_before != null_after) return true;
        if (null_before) continue;
        auto *attribute = TupleDescAttr(descriptor, columns[i] - 1);
        // The first costs nothing where both point to the same toasted value.
        if (!datumIsEqual(old_value, new_value, attribute->attbyval, attribute->attlen) &&
            !datum_image_eq(old_value, new_value, attribute->attbyval, attribute->attlen))
            return true;
    }
    return false;
}

// Nothing to bring over. But the source's row may leave a block that the backfill has yet to read
// for one that it has read.
bool changes_nothing(const Mirror *mirror, TriggerData *data) {
    if (!TRIGGER_FIRED_BY_UPDATE(data->tg_event)) return false;
    TupleTableSlot *before = data->tg_trigslot, *now = data->tg_newslot;
    return !differs(before, now, mirror->keys, mirror->key_count) &&
           !differs(before, now, mirror->columns, mirror->column_count) &&
           (!mirror->is_source || mirror->trusts_part ||
            ItemPointerGetBlockNumber(&before->tts_tid) ==
                ItemPointerGetBlockNumber(&now->tts_tid));
}

// A trigger of somebody else on the other table may have made something else of it: then the two
// are equal in that.
void put(Mirror *mirror, Datum *keys) {
    run(mirror, put_row, keys);
    if (mirror->other_rewrites) run(mirror, take_row, keys);
}

void take(Mirror *mirror, Datum *keys) {
    run(mirror, take_row, keys);
    if (mirror->other_rewrites) run(mirror, put_row, keys);
}

void write_source(Mirror *mirror, TriggerData *data) {
    Datum keys[2 * INDEX_MAX_KEYS];
    Datum *after = keys + mirror->key_count;
    key_of(mirror, data->tg_trigslot, keys);
    if (TRIGGER_FIRED_BY_DELETE(data->tg_event)) {
        run(mirror, remove_row, keys);
        return;
    }
    if (TRIGGER_FIRED_BY_INSERT(data->tg_event)) {
        put(mirror, keys);
        return;
    }
    key_of(mirror, data->tg_newslot, after);
    if (differs(data->tg_trigslot, data->tg_newslot, mirror->keys, mirror->key_count)) {
        run(mirror, move_row, keys);
        run(mirror, remove_row, keys);
    }
    put(mirror, after);
}

[[noreturn]] void raise_no_source(const Mirror *mirror, Relation part) {
    ereport(ERROR,
            (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
             errmsg("insert or update on table \"%s\" violates foreign key: table \"%s\" has no "
                    "row with that key",
                    RelationGetRelationName(part), get_rel_name(mirror->other)),
             errtable(part)));
}

void write_part(Mirror *mirror, TriggerData *data) {
    Datum keys[INDEX_MAX_KEYS];
    const bool update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    TupleTableSlot *row = update ? data->tg_newslot : data->tg_trigslot;
    if (TRIGGER_FIRED_BY_DELETE(data->tg_event)) {
        key_of(mirror, row, keys);
        run(mirror, clear_row, keys);
        return;
    }
    if (update && differs(data->tg_trigslot, row, mirror->keys, mirror->key_count)) {
        key_of(mirror, row, keys);
        if (run(mirror, lock_row, keys) == 0) raise_no_source(mirror, data->tg_relation);
        key_of(mirror, data->tg_trigslot, keys);
        run(mirror, clear_row, keys);
    }
    key_of(mirror, row, keys);
    take(mirror, keys);
}

void before_insert(Mirror *mirror, TriggerData *data) {
    Datum keys[INDEX_MAX_KEYS];
    key_of(mirror, data->tg_trigslot, keys);
    if (run(mirror, lock_row, keys) == 0) raise_no_source(mirror, data->tg_relation);
    // Not copied yet, maybe: who may insert, but not update, must not write over it.
    if (!mirror->trusts_part) run(mirror, put_row, keys);
    run(mirror, replace_row, keys);
}

// TRUNCATE of both tables in one command: it has the other one open, and has emptied it.
bool is_empty(Oid table) {
    Relation relation = table_open(table, NoLock);
    const bool empty = RelationGetNumberOfBlocks(relation) == 0;
    table_close(relation, NoLock);
    return empty;
}

void truncated(Mirror *mirror) {
    if (!mirror->is_source)
        run(mirror, clear_source, nullptr);
    else if (!is_empty(mirror->other))
        run(mirror, empty_part, nullptr);
}

bool is_echo(const char *name) {
    return (writing.name != nullptr && writing.depth + 1 == trigger_depth() &&
            strcmp(writing.name, name) == 0) ||
           strcmp(copied_by_us, name) == 0;
}

// With the other table locked, so that it is still what the mirror says when our statement comes to
// it: whoever renames it or its columns has us wait, and is then seen. Nothing to do: null.
Mirror *locked_mirror_of(TriggerData *data, Oid function) {
    const Trigger *trigger = data->tg_trigger;
    const bool truncate = TRIGGER_FIRED_BY_TRUNCATE(data->tg_event);
    for (;;) {
        Mirror *mirror = mirror_of(data->tg_relation, trigger->tgoid, function, trigger->tgnargs,
                                   trigger->tgargs);
        if (!mirror->usable || changes_nothing(mirror, data)) return nullptr;
        LockRelationOid(mirror->other,
                        truncate && mirror->is_source ? AccessExclusiveLock : RowExclusiveLock);
        if (!mirror->stale) return mirror;
    }
}

}  // namespace

extern "C" Datum zdm_hot_mirror(FunctionCallInfo fcinfo) {
    auto *data = reinterpret_cast<TriggerData *>(fcinfo->context);
    const bool before = TRIGGER_FIRED_BEFORE(data->tg_event);
    const Datum result = before && TRIGGER_FIRED_FOR_ROW(data->tg_event)
                             ? PointerGetDatum(data->tg_trigtuple)
                             : PointerGetDatum(nullptr);
    if (data->tg_trigger->tgnargs > 0 && is_echo(data->tg_trigger->tgargs[0])) return result;
    Mirror *mirror = locked_mirror_of(data, fcinfo->flinfo->fn_oid);
    if (mirror == nullptr) return result;
    if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
        truncated(mirror);
    else if (before)
        before_insert(mirror, data);
    else if (mirror->is_source)
        write_source(mirror, data);
    else
        write_part(mirror, data);
    return result;
}

extern "C" void zdm_hot_mirror_copying(const char *name) {
    strlcpy(copied_by_us, name, NAMEDATALEN);
}

extern "C" bool zdm_hot_mirror_resync(Oid relation, const char *trigger, const char *const *key) {
    Relation mine = table_open(relation, RowExclusiveLock);
    const Trigger *found = nullptr;
    for (int i = 0; mine->trigdesc != nullptr && i < mine->trigdesc->numtriggers; i++)
        if (strcmp(mine->trigdesc->triggers[i].tgname, trigger) == 0)
            found = &mine->trigdesc->triggers[i];
    if (found == nullptr)
        ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                        errmsg("zdm: trigger \"%s\" of table \"%s\" is gone", trigger,
                               RelationGetRelationName(mine))));
    Mirror *mirror = mirror_of(mine, found->tgoid, found->tgfoid, found->tgnargs, found->tgargs);
    uint64 rows = 0;
    if (mirror->usable) {
        Datum keys[INDEX_MAX_KEYS];
        for (int i = 0; i < mirror->key_count; i++) {
            auto *attribute = TupleDescAttr(RelationGetDescr(mine), mirror->keys[i] - 1);
            Oid input, parameter;
            getTypeInputInfo(attribute->atttypid, &input, &parameter);
            keys[i] = OidInputFunctionCall(input, pstrdup(key[i]), parameter, attribute->atttypmod);
        }
        rows = run(mirror, mirror->is_source ? remove_row : take_row, keys);
        rows += run(mirror, mirror->is_source ? put_row : clear_row, keys);
    }
    table_close(mine, NoLock);
    return rows > 0;
}
