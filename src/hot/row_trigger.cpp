// The sync trigger: from the commit of expand on, every row version that is written has both sides.
// It reads NEW and OLD only: no catalog, no grant, no lock. Where an expression fails it leaves a
// note (hot/unsynced_write.hpp).
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/hot.h"
#include "hot/last_column.hpp"
#include "hot/sync_program.hpp"
#include "hot/unsynced_write.hpp"

extern "C" {
#include "access/htup_details.h"
#include "commands/trigger.h"
}

namespace zdm {

namespace {

// Everything that one call works with.
struct Write {
    SyncProgram *program;
    TriggerData *data;
    HeapTuple tuple;      // as it will be stored, if nothing is to be done
    TupleTableSlot *row;  // the same
};

// The value is in the old column alone: a cutover would lose it, and in soak contract. What reverse
// makes of nothing is no loss: forward may fail for NULL.
bool is_lost(const Write &write, const SyncSide &side, const Datum *values, const bool *nulls) {
    SyncProgram *program = write.program;
    if (&side != &program->new_side) return false;
    TupleTableSlot *stored =
        MakeSingleTupleTableSlot(RelationGetDescr(write.data->tg_relation), &TTSOpsVirtual);
    memcpy(stored->tts_values, values, sizeof(Datum) * stored->tts_tupleDescriptor->natts);
    memcpy(stored->tts_isnull, nulls, sizeof(bool) * stored->tts_tupleDescriptor->natts);
    ExecStoreVirtualTuple(stored);
    const bool lost = !(program->trust_new && sync_all_null(program->old_side, stored)) &&
                      !sync_consistent(program, stored);
    ExecDropSingleTupleTableSlot(stored);
    return lost;
}

TupleDesc descriptor_of(const Write &write) { return RelationGetDescr(write.data->tg_relation); }

bool all_null(const Write &write, const SyncSide &side) {
    for (int i = 0; i < side.count; i++)
        if (!is_null_in(write.tuple, side.columns[i], descriptor_of(write))) return false;
    return true;
}

bool new_side_changed(const Write &write, TupleTableSlot *before) {
    const SyncSide &side = write.program->new_side;
    HeapTuple row_before = write.data->tg_trigtuple;
    if (side.count == 1 && ends_with(row_before, side.columns[0]) &&
        ends_with(write.tuple, side.columns[0]))
        return last_value(row_before, side.columns[0]) != last_value(write.tuple, side.columns[0]);
    return sync_changed(side.count, side.columns, before, write.row);
}

// The row with one side computed from the other. Where the expression fails the side becomes NULL.
// The new tuple is formed from the slot, which has the columns apart already: half the cost of
// heap_modify_tuple, which takes the old tuple apart first.
HeapTuple filled(Write &write, const SyncSide &side) {
    constexpr int few = 8;
    Datum few_values[few];
    bool few_nulls[few];
    const bool many = side.count > few;
    Datum *values = many ? static_cast<Datum *>(palloc(sizeof(Datum) * side.count)) : few_values;
    bool *nulls = many ? static_cast<bool *>(palloc(sizeof(bool) * side.count)) : few_nulls;

    const bool computed = sync_evaluate(write.program, side, write.row, values, nulls, nullptr);
    TupleDesc descriptor = descriptor_of(write);
    if (side.count == 1 && !nulls[0] && can_append(write.tuple, side.columns[0], descriptor))
        return append_value(write.tuple, side.columns[0], descriptor, values[0]);
    const bool is_as_before = sync_equals(side, write.row, values, nulls);
    if (likely(computed) && is_as_before) return write.tuple;

    slot_getallattrs(write.row);
    auto *all_values = static_cast<Datum *>(palloc(sizeof(Datum) * descriptor->natts));
    auto *all_nulls = static_cast<bool *>(palloc(sizeof(bool) * descriptor->natts));
    memcpy(all_values, write.row->tts_values, sizeof(Datum) * descriptor->natts);
    memcpy(all_nulls, write.row->tts_isnull, sizeof(bool) * descriptor->natts);
    for (int i = 0; i < side.count; i++) {
        all_values[side.columns[i].attnum - 1] = values[i];
        all_nulls[side.columns[i].attnum - 1] = nulls[i];
    }
    if (unlikely(!computed) && !has_noted_unsynced_write(write.program) &&
        is_lost(write, side, all_values, all_nulls))
        note_unsynced_write(write.program, write.data, true);
    if (is_as_before) return write.tuple;
    HeapTuple result = heap_form_tuple(descriptor, all_values, all_nulls);
    result->t_self = write.tuple->t_self;
    result->t_tableOid = write.tuple->t_tableOid;
    return result;
}

// Every given column of the side may owe its value to the column's default.
bool may_be_default(const SyncSide &side, TupleTableSlot *row) {
    for (int i = 0; i < side.count; i++)
        if (!side.columns[i].has_default && !slot_attisnull(row, side.columns[i].attnum))
            return false;
    return true;
}

HeapTuple from_old(Write &write) { return filled(write, write.program->new_side); }

// Without reverse the old side cannot follow. Before cutover it keeps what it has (it is trusted);
// after it, a value that is out of date would be worse than none.
HeapTuple from_new(Write &write) {
    const SyncProgram *program = write.program;
    if (!program->old_side.fillable && !program->trust_new) return write.tuple;
    return filled(write, program->old_side);
}

HeapTuple on_insert(Write &write) {
    SyncProgram *program = write.program;
    const bool new_given = !all_null(write, program->new_side);
    const bool old_given = !all_null(write, program->old_side);
    if (!new_given && !old_given) return program->trust_new ? from_new(write) : from_old(write);
    if (!new_given) return from_old(write);
    if (!old_given) return from_new(write);
    if (sync_consistent(program, write.row)) return write.tuple;
    // In soak only the new side has a default, so the old one was given on purpose: by an
    // application of before the deploy, which does not know the new column.
    if (program->trust_new && may_be_default(program->new_side, write.row)) return from_old(write);
    return from_new(write);
}

HeapTuple on_update(Write &write, TupleTableSlot *before) {
    SyncProgram *program = write.program;
    bool old_changed =
        sync_changed(program->old_side.count, program->old_side.columns, before, write.row);
    bool new_changed = new_side_changed(write, before);
    // The only value that there is: looked at again, and noted again, for a pass may miss a row
    // that moves.
    if (!old_changed && !new_changed && sync_only_old_has_it(program, before) &&
        !sync_consistent(program, before))
        return from_old(write);
    if (!old_changed && !new_changed && program->other_count > 0 &&
        sync_changed(program->other_count, program->others, before, write.row))
        (program->trust_new ? new_changed : old_changed) = true;

    if (old_changed && new_changed) {
        if (sync_consistent(program, write.row)) return write.tuple;
        return program->trust_new ? from_new(write) : from_old(write);
    }
    if (old_changed) return from_old(write);
    if (new_changed) return from_new(write);
    // A row that the backfill has not reached. Else leave both sides alone: the mapping may be
    // lossy, and what the other side's application wrote is not to be computed over.
    if (!all_null(write, program->untrusted())) return write.tuple;
    return program->trust_new ? from_new(write) : from_old(write);
}

}  // namespace

}  // namespace zdm

extern "C" HeapTuple zdm_hot_sync(FunctionCallInfo fcinfo) {
    using namespace zdm;
    auto *data = reinterpret_cast<TriggerData *>(fcinfo->context);
    const bool is_update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);

    auto *program = static_cast<SyncProgram *>(fcinfo->flinfo->fn_extra);
    if (unlikely(program == nullptr || program->stale)) {
        program = sync_program_of_trigger(data->tg_relation, data->tg_trigger->tgoid,
                                          data->tg_trigger->tgnargs, data->tg_trigger->tgargs);
        fcinfo->flinfo->fn_extra = program;
    }
    Write write = {program, data, is_update ? data->tg_newtuple : data->tg_trigtuple,
                   is_update ? data->tg_newslot : data->tg_trigslot};
    if (unlikely(!program->usable)) {
        note_unsynced_write(program, data, false);
        return write.tuple;
    }
    sync_program_begin_row(program);
    if (program->only_fills())
        return all_null(write, program->new_side) ? from_old(write) : write.tuple;
    return is_update ? on_update(write, data->tg_trigslot) : on_insert(write);
}
