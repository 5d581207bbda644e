// See unsynced_write.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/unsynced_write.hpp"

#include "hot/subtransaction.hpp"

extern "C" {
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "utils/lsyscache.h"
}

namespace zdm {

namespace {

// 0: a trigger that somebody has made by hand.
int64 migration_of(const char *trigger) {
    constexpr char prefix[] = "~zdm_sync_";
    if (strncmp(trigger, prefix, sizeof(prefix) - 1) != 0) return 0;
    return strtoll(trigger + sizeof(prefix) - 1, nullptr, 10);
}

// Beside DROP EXTENSION there may be no table any more, and nothing to note for.
void insert_note(int64 migration, Oid relation, bool old_has_it) {
    const Oid schema = get_namespace_oid("zdm", true);
    const Oid table = OidIsValid(schema) ? get_relname_relid("unsynced_write", schema) : InvalidOid;
    Relation notes = OidIsValid(table) ? try_table_open(table, RowExclusiveLock) : nullptr;
    if (notes == nullptr) return;
    if (RelationGetDescr(notes)->natts != 3)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("table zdm.unsynced_write is of another version of zdm")));
    TupleTableSlot *slot = table_slot_create(notes, nullptr);
    ExecClearTuple(slot);
    slot->tts_values[0] = Int64GetDatum(migration);
    slot->tts_values[1] = ObjectIdGetDatum(relation);
    slot->tts_values[2] = BoolGetDatum(old_has_it);
    slot->tts_isnull[0] = slot->tts_isnull[1] = slot->tts_isnull[2] = false;
    ExecStoreVirtualTuple(slot);
    simple_table_tuple_insert(notes, slot);
    ExecDropSingleTupleTableSlot(slot);
    table_close(notes, NoLock);
}

}  // namespace

// A savepoint that is rolled back takes its note along with its rows. Numbers of subtransactions
// are not used again within a transaction, those of transactions never.
bool has_noted_unsynced_write(const SyncProgram *program) {
    return program->noted_subtransaction == GetCurrentSubTransactionId() &&
           FullTransactionIdEquals(program->noted_transaction, GetTopFullTransactionIdIfAny());
}

void note_unsynced_write(SyncProgram *program, const TriggerData *data, bool old_has_it) {
    const int64 migration = migration_of(data->tg_trigger->tgname);
    if (migration == 0 || has_noted_unsynced_write(program)) return;
    const ErrorData *raised = in_subtransaction(
        [&] { insert_note(migration, RelationGetRelid(data->tg_relation), old_has_it); });
    if (raised == nullptr) {
        program->noted_transaction = GetTopFullTransactionId();
        program->noted_subtransaction = GetCurrentSubTransactionId();
    } else
        ereport(WARNING, (errcode(raised->sqlerrcode),
                          errmsg("zdm cannot note that a row of table \"%s\" is not in sync: %s",
                                 RelationGetRelationName(data->tg_relation), raised->message)));
}

}  // namespace zdm
