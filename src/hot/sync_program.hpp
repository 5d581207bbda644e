// The compiled meaning of a sync trigger's arguments: which columns belong to which side, and the
// expressions that fill one side from the other. Trigger, backfill, verify and repair all use this
// one.
//
// Part of the hot path: compiled without exceptions, plain data in memory contexts, no destructors;
// the server's longjmp may pass through every function here.
#pragma once

extern "C" {
#include "postgres.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

#include "pg/engine.h"
}

namespace zdm {

struct SyncColumn {
    AttrNumber attnum;
    Oid type;
    int16 length;
    bool by_value;
    bool has_default;
    ExprState *fill;  // gives this column's value from the other side; NULL = none
};

struct SyncSide {
    int count;
    SyncColumn *columns;
    bool fillable;  // every column has an expression
    bool total;     // no expression can raise an error
};

struct SyncProgram {
    MemoryContext context;
    SyncProgram *next;  // of all programs of this session
    Oid relation;
    Oid trigger;  // InvalidOid: not a trigger's
    Oid giver;    // the table that its expressions were given for: the relation or its root
    Oid owner;    // of the giver: who evaluates them; InvalidOid: the current user
    bool scoped;  // goes with the transaction at the latest
    bool stale;   // the table or a function has changed: build a new one
    bool usable;  // false: the arguments do not fit the table (somebody renamed a column)
    bool trust_new;
    SyncSide old_side;
    SyncSide new_side;
    int other_count;  // columns that are read, but belong to neither side
    SyncColumn *others;
    char *settings;  // name=value;... to evaluate under, NULL = none needed
    ExprContext *econtext;
    FullTransactionId noted_transaction;  // where the last note was left: unsynced_write.hpp
    SubTransactionId noted_subtransaction;

    const SyncSide &trusted() const { return trust_new ? new_side : old_side; }
    const SyncSide &untrusted() const { return trust_new ? old_side : new_side; }
    // Without an old side the new one is filled where a writer gives no value, and else left alone.
    bool only_fills() const { return old_side.count == 0; }
    int most_columns() const { return Max(old_side.count, new_side.count); }
};

// Parses under a pinned search_path, compiles and evaluates with the rights of the table's owner
// (applications need no grant on what the expressions call, nor on what that reads). Raises what
// the parser raises. The program lives until sync_program_free, or, for a trigger's, until the end
// of the transaction in which it has gone stale.
SyncProgram *sync_program_build(Relation relation, Oid trigger, int count,
                                const char *const *arguments);
void sync_program_free(SyncProgram *program);

// A trigger's program from the session's cache. Never raises because of the arguments: see usable.
SyncProgram *sync_program_of_trigger(Relation relation, Oid trigger, int count, char **arguments);

// Evaluates a side's expressions over a row. False: one raised an error (rolled back; *error names
// it, in the caller's memory; values are then all NULL). Values live until the program's next
// evaluation of a row is begun by sync_program_begin_row. Query cancel and shutdown are raised.
bool sync_evaluate(SyncProgram *program, const SyncSide &side, TupleTableSlot *row, Datum *values,
                   bool *nulls, char **error);
void sync_program_begin_row(SyncProgram *program);

bool sync_all_null(const SyncSide &side, TupleTableSlot *row);
// Byte for byte (detoasted): the expressions give the same bytes for the same input.
bool sync_equals(const SyncSide &side, TupleTableSlot *row, const Datum *values, const bool *nulls);
bool sync_changed(int count, const SyncColumn *columns, TupleTableSlot *before,
                  TupleTableSlot *after);

// new = forward(old), or old = reverse(new).
bool sync_consistent(SyncProgram *program, TupleTableSlot *row);
// In soak: the new side is trusted and has nothing, but the old one has something. It was written
// while the trigger was away, or forward raises an error for it.
bool sync_only_old_has_it(SyncProgram *program, TupleTableSlot *row);

}  // namespace zdm
