// See sync_program.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/sync_program.hpp"

#include <initializer_list>

#include "hot/expression_owner.hpp"
#include "hot/subtransaction.hpp"

extern "C" {
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "pg/expression.h"
#include "pg/guard.h"
#include "pg/pinned.h"
}

namespace zdm {

namespace {

SyncProgram *programs = nullptr;  // of this session
bool callbacks_registered = false;

void mark_stale(Oid relation) {
    for (SyncProgram *program = programs; program != nullptr; program = program->next)
        if (relation == InvalidOid || program->relation == relation || program->giver == relation)
            program->stale = true;
}

void on_relation_change(Datum, Oid relation) { mark_stale(relation); }

// An expression may have a function's body inlined.
void on_function_change(Datum, int, uint32) { mark_stale(InvalidOid); }

// A statement may still run on a stale program (it recursed, or somebody analyzed the table), so
// stale ones of triggers go when the transaction does.
void on_transaction_end(XactEvent event, void *) {
    if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT) return;
    SyncProgram *program = programs;
    while (program != nullptr) {
        SyncProgram *next = program->next;
        if (program->scoped || (program->stale && OidIsValid(program->trigger)))
            sync_program_free(program);
        program = next;
    }
}

void register_callbacks() {
    if (callbacks_registered) return;
    CacheRegisterRelcacheCallback(on_relation_change, (Datum)0);
    CacheRegisterSyscacheCallback(PROCOID, on_function_change, (Datum)0);
    RegisterXactCallback(on_transaction_end, nullptr);
    callbacks_registered = true;
}

// A column by name. It may have been renamed by somebody since.
Form_pg_attribute attribute_named(Relation relation, const char *name) {
    TupleDesc descriptor = RelationGetDescr(relation);
    for (int i = 0; i < descriptor->natts; i++) {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
            return attribute;
    }
    ereport(
        ERROR,
        (errcode(ERRCODE_UNDEFINED_COLUMN),
         errmsg("zdm: table \"%s\" has no column \"%s\" any more, which a migration keeps in sync",
                RelationGetRelationName(relation), name)));
}

SyncColumn column_of(Form_pg_attribute attribute) {
    SyncColumn column = {};
    column.attnum = attribute->attnum;
    column.type = attribute->atttypid;
    column.length = attribute->attlen;
    column.by_value = attribute->attbyval;
    column.has_default = attribute->atthasdef || attribute->attidentity != '\0';
    return column;
}

// The arguments, one after another.
struct Reader {
    int count;
    const char *const *values;
    int at;

    const char *next() {
        if (at >= count)
            ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                            errmsg("zdm: the sync trigger has too few arguments")));
        return values[at++];
    }
};

struct Compilation {
    Relation relation;
    SyncProgram *program;
    int mapped_count;
    ZdmMappedColumn *mapped;
    Bitmapset *read;
    bool mutable_expressions;
};

void read_side(Reader &reader, Relation relation, SyncSide &side, const char **&expressions,
               int least) {
    side.count = pg_strtoint32(reader.next());
    if (side.count < least || side.count > MaxHeapAttributeNumber)
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                        errmsg("zdm: the sync trigger has malformed arguments")));
    side.columns = static_cast<SyncColumn *>(palloc0(sizeof(SyncColumn) * side.count));
    expressions = static_cast<const char **>(palloc0(sizeof(char *) * side.count));
    for (int i = 0; i < side.count; i++) {
        side.columns[i] = column_of(attribute_named(relation, reader.next()));
        expressions[i] = reader.next();
    }
}

void compile_side(Compilation &compilation, SyncSide &side, const char *const *expressions) {
    side.fillable = true;
    side.total = true;
    for (int i = 0; i < side.count; i++) {
        if (expressions[i][0] == '\0') {
            side.fillable = false;
            continue;
        }
        Form_pg_attribute attribute =
            TupleDescAttr(RelationGetDescr(compilation.relation), side.columns[i].attnum - 1);
        Node *node =
            zdm_expression_parse(compilation.relation, expressions[i], compilation.mapped_count,
                                 compilation.mapped, false, false, attribute->atttypid,
                                 attribute->atttypmod, attribute->attcollation, false);
        side.total = side.total && zdm_expression_is_total(node);
        compilation.mutable_expressions |= contain_mutable_functions(node);
        pull_varattnos(node, 1, &compilation.read);
        Expr *planned = expression_planner(reinterpret_cast<Expr *>(node));
        side.columns[i].fill = ExecInitExpr(planned, nullptr);
    }
}

bool is_mapped(const SyncProgram *program, AttrNumber attnum) {
    for (const SyncSide *side : {&program->old_side, &program->new_side})
        for (int i = 0; i < side->count; i++)
            if (side->columns[i].attnum == attnum) return true;
    return false;
}

void collect_others(Compilation &compilation) {
    SyncProgram *program = compilation.program;
    program->others = static_cast<SyncColumn *>(
        palloc0(sizeof(SyncColumn) * (bms_num_members(compilation.read) + 1)));
    int member = -1;
    while ((member = bms_next_member(compilation.read, member)) >= 0) {
        const AttrNumber attnum = member + FirstLowInvalidHeapAttributeNumber;
        if (attnum > 0 && !is_mapped(program, attnum))
            program->others[program->other_count++] =
                column_of(TupleDescAttr(RelationGetDescr(compilation.relation), attnum - 1));
    }
}

void compile(Relation relation, SyncProgram *program, int count, const char *const *arguments) {
    Reader reader = {count, arguments, 0};
    if (strcmp(reader.next(), "1") != 0)
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("zdm: the sync trigger was made by another version of zdm")));
    program->trust_new = strcmp(reader.next(), "new") == 0;
    const char *settings = reader.next();
    const char **reverse, **forward;
    read_side(reader, relation, program->old_side, reverse, 0);
    read_side(reader, relation, program->new_side, forward, 1);

    Compilation compilation = {relation, program, 0, nullptr, nullptr, false};
    compilation.mapped = static_cast<ZdmMappedColumn *>(
        palloc0(sizeof(ZdmMappedColumn) * (program->old_side.count + program->new_side.count)));
    for (const SyncSide *side : {&program->old_side, &program->new_side})
        for (int i = 0; i < side->count; i++) {
            Form_pg_attribute attribute =
                TupleDescAttr(RelationGetDescr(relation), side->columns[i].attnum - 1);
            compilation.mapped[compilation.mapped_count++] = {
                NameStr(attribute->attname), attribute->attnum, attribute->atttypid,
                attribute->atttypmod, attribute->attcollation};
        }
    compile_side(compilation, program->old_side, reverse);
    compile_side(compilation, program->new_side, forward);
    collect_others(compilation);
    if (compilation.mutable_expressions && settings[0] != '\0')
        program->settings = pstrdup(settings);
    program->econtext = CreateStandaloneExprContext();
    program->usable = true;
}

void evaluate(SyncProgram *program, const SyncSide &side, TupleTableSlot *row, Datum *values,
              bool *nulls) {
    int nest = 0;
    if (unlikely(program->settings != nullptr)) {
        nest = NewGUCNestLevel();
        zdm_apply_settings(program->settings);
    }
    program->econtext->ecxt_scantuple = row;
    for (int i = 0; i < side.count; i++) {
        if (side.columns[i].fill == nullptr) {
            nulls[i] = true;
            values[i] = (Datum)0;
        } else
            values[i] =
                ExecEvalExprSwitchContext(side.columns[i].fill, program->econtext, &nulls[i]);
    }
    if (unlikely(nest > 0)) AtEOXact_GUC(true, nest);
}

// With the rights of whoever has given the expressions, as the server runs a table owner's code for
// its indexes: a writer needs no grant on what they call. It gives nobody a right that he has not:
// a writer chooses values of the table's own columns, and what the owner's code makes of them is
// the owner's business, as in a function that is SECURITY DEFINER. current_user is the owner in
// there, session_user the writer; there is no way to another role (SECURITY_RESTRICTED_OPERATION),
// names resolve as they do for the worker and not by the writer's search_path, which may have
// functions of his own in front, and no setting of the owner's outlives the call. Only a
// search_path that a function of the owner's sets for itself is his own affair: pg_temp belongs at
// its end.
void evaluate_as_owner(SyncProgram *program, const SyncSide &side, TupleTableSlot *row,
                       Datum *values, bool *nulls) {
    if (!OidIsValid(program->owner)) return evaluate(program, side, row, values, nulls);
    const ZdmAsOwner as_owner = zdm_as_owner_begin(program->owner);
    if (strcmp(namespace_search_path, ZDM_SEARCH_PATH) != 0)
        zdm_set("search_path", ZDM_SEARCH_PATH);
    evaluate(program, side, row, values, nulls);
    zdm_as_owner_end(&as_owner);
}

// A statement's write must not fail because of the expression: it runs in a subtransaction, whose
// abort also gives back the role and the settings.
bool evaluate_guarded(SyncProgram *program, const SyncSide &side, TupleTableSlot *row,
                      Datum *values, bool *nulls, char **error) {
    const ErrorData *raised =
        in_subtransaction([&] { evaluate_as_owner(program, side, row, values, nulls); });
    if (raised == nullptr) return true;
    if (error != nullptr) *error = raised->message ? raised->message : pstrdup("");
    for (int i = 0; i < side.count; i++) nulls[i] = true;
    return false;
}

}  // namespace

SyncProgram *sync_program_build(Relation relation, Oid trigger, int count,
                                const char *const *arguments) {
    register_callbacks();
    const Oid giver = giver_of_expressions(relation, trigger);
    MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "zdm sync program", ALLOCSET_SMALL_SIZES);
    MemoryContext caller = MemoryContextSwitchTo(context);
    auto *program = static_cast<SyncProgram *>(palloc0(sizeof(SyncProgram)));
    program->context = context;
    program->relation = RelationGetRelid(relation);
    program->trigger = trigger;
    program->giver = giver;
    program->next = programs;
    programs = program;  // before compiling: what changes meanwhile makes it stale

    program->owner = owner_of_table(program->giver);
    // Planning runs functions of constants.
    const ZdmAsOwner as_owner =
        zdm_as_owner_begin(OidIsValid(program->owner) ? program->owner : GetUserId());
    PG_TRY();
    {
        (void)zdm_pin_settings();  // goes with the level around it
        compile(relation, program, count, arguments);
    }
    PG_CATCH();
    {
        SetUserIdAndSecContext(as_owner.user, as_owner.context);
        MemoryContextSwitchTo(caller);
        sync_program_free(program);
        PG_RE_THROW();
    }
    PG_END_TRY();
    zdm_as_owner_end(&as_owner);
    MemoryContextSwitchTo(caller);
    return program;
}

void sync_program_free(SyncProgram *program) {
    for (SyncProgram **link = &programs; *link != nullptr; link = &(*link)->next)
        if (*link == program) {
            *link = program->next;
            break;
        }
    MemoryContextDelete(program->context);
}

SyncProgram *sync_program_of_trigger(Relation relation, Oid trigger, int count, char **arguments) {
    for (SyncProgram *program = programs; program != nullptr; program = program->next)
        if (program->trigger == trigger && !program->stale) return program;

    SyncProgram *program = nullptr;
    const ErrorData *raised = in_subtransaction(
        [&] { program = sync_program_build(relation, trigger, count, arguments); });
    if (raised == nullptr) return program;

    // The application's write goes on; verify and status tell about the rest. Once a session.
    ereport(WARNING, (errcode(raised->sqlerrcode),
                      errmsg("zdm does not sync table \"%s\": %s",
                             RelationGetRelationName(relation), raised->message)));
    MemoryContext context =
        AllocSetContextCreate(TopMemoryContext, "zdm sync program", ALLOCSET_SMALL_SIZES);
    auto *unusable =
        static_cast<SyncProgram *>(MemoryContextAllocZero(context, sizeof(SyncProgram)));
    unusable->context = context;
    unusable->relation = RelationGetRelid(relation);
    unusable->trigger = trigger;
    unusable->trust_new = count > 1 && strcmp(arguments[1], "new") == 0;
    unusable->next = programs;
    programs = unusable;
    return unusable;
}

void sync_program_begin_row(SyncProgram *program) { ResetExprContext(program->econtext); }

bool sync_evaluate(SyncProgram *program, const SyncSide &side, TupleTableSlot *row, Datum *values,
                   bool *nulls, char **error) {
    if (likely(side.total)) {
        evaluate(program, side, row, values, nulls);
        return true;
    }
    return evaluate_guarded(program, side, row, values, nulls, error);
}

bool sync_all_null(const SyncSide &side, TupleTableSlot *row) {
    for (int i = 0; i < side.count; i++)
        if (!slot_attisnull(row, side.columns[i].attnum)) return false;
    return true;
}

namespace {

bool same(const SyncColumn &column, Datum a, bool a_null, Datum b, bool b_null) {
    if (a_null || b_null) return a_null == b_null;
    if (column.by_value) return a == b;
    return datum_image_eq(a, b, false, column.length);
}

}  // namespace

bool sync_equals(const SyncSide &side, TupleTableSlot *row, const Datum *values,
                 const bool *nulls) {
    for (int i = 0; i < side.count; i++) {
        bool is_null;
        const Datum value = slot_getattr(row, side.columns[i].attnum, &is_null);
        if (!same(side.columns[i], value, is_null, values[i], nulls[i])) return false;
    }
    return true;
}

bool sync_changed(int count, const SyncColumn *columns, TupleTableSlot *before,
                  TupleTableSlot *after) {
    for (int i = 0; i < count; i++) {
        bool before_null, after_null;
        const Datum a = slot_getattr(before, columns[i].attnum, &before_null);
        const Datum b = slot_getattr(after, columns[i].attnum, &after_null);
        if (!same(columns[i], a, before_null, b, after_null)) return true;
    }
    return false;
}

bool sync_consistent(SyncProgram *program, TupleTableSlot *row) {
    auto *values = static_cast<Datum *>(MemoryContextAlloc(
        program->econtext->ecxt_per_tuple_memory, sizeof(Datum) * program->most_columns()));
    auto *nulls = static_cast<bool *>(MemoryContextAlloc(program->econtext->ecxt_per_tuple_memory,
                                                         sizeof(bool) * program->most_columns()));
    if (program->only_fills() && !sync_all_null(program->new_side, row)) return true;
    if (sync_evaluate(program, program->new_side, row, values, nulls, nullptr) &&
        sync_equals(program->new_side, row, values, nulls))
        return true;
    return !program->only_fills() && program->old_side.fillable &&
           sync_evaluate(program, program->old_side, row, values, nulls, nullptr) &&
           sync_equals(program->old_side, row, values, nulls);
}

bool sync_only_old_has_it(SyncProgram *program, TupleTableSlot *row) {
    return program->trust_new && sync_all_null(program->new_side, row) &&
           !sync_all_null(program->old_side, row);
}

}  // namespace zdm
