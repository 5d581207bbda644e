/*
 * bridge.h - everything C++ may ask of the server, in plain C types.
 *
 * Every function that can fail returns NULL on success or an ErrorData that the caller owns; none
 * of them ever longjmps out. Text that comes back lives in the transaction's memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pg/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* error.c */
ErrorData *zdm_error_make(const char *sqlstate, const char *message, const char *detail,
                          const char *hint);
void zdm_error_free(ErrorData *error);
const char *zdm_error_message(const ErrorData *error);
const char *zdm_error_detail(const ErrorData *error);
const char *zdm_error_sqlstate(const ErrorData *error);
/* The message before its arguments were put into it, with a % for each, untranslated; "" where it
 * is not known (of a parallel worker). "%s" where somebody else has made the whole text. */
const char *zdm_error_format(const ErrorData *error);
bool zdm_error_is_own(const ErrorData *error); /* zdm's words, not the server's or a user's */
/* Whether it points to a place in a statement's text. */
bool zdm_error_has_place(const ErrorData *error);

/* spi.c: SQL with text parameters and text results. A kept plan is prepared once a session; LATEST
 * only reads, and sees what others have committed up to now, in REPEATABLE READ too. */
typedef enum ZdmPlan { ZDM_PLAN_ONCE, ZDM_PLAN_KEPT, ZDM_PLAN_KEPT_LATEST } ZdmPlan;

typedef struct ZdmResult {
    uint64_t rows;
    int columns;
    void *table; /* SPITupleTable, or NULL */
} ZdmResult;

ErrorData *zdm_sql_execute(const char *sql, int count, const char *const *values, ZdmPlan plan,
                           ZdmResult *result);
/* A statement that evaluates a user's expressions: under those settings (name=value;...), and the
 * session's for the rest; they are as before when it has ended. */
ErrorData *zdm_sql_evaluate(const char *sql, const char *settings, ZdmResult *result);
ErrorData *zdm_sql_value(const ZdmResult *result, uint64_t row, int column, const char **value);
void zdm_sql_free(const ZdmResult *result);
ErrorData *zdm_quote_identifier(const char *name, const char **quoted);
ErrorData *zdm_quote_literal(const char *text, const char **quoted);
/* A copy in the memory of whoever called the SQL function (SPI_palloc). */
ErrorData *zdm_copy_text(const char *text, const char **copy);
/* How many bytes of the text fit without cutting a character in two. */
ErrorData *zdm_clip_text(const char *text, int bytes, int *kept);

/* transaction.c */
ErrorData *zdm_transaction_begin(void); /* the worker's: with SPI and a snapshot */
ErrorData *zdm_transaction_commit(void);
/* When this process's last transaction has let go of its locks: before it unlinks the files of what
 * it has dropped, which takes its time and which nobody waits for. */
double zdm_locks_released_ms(void);
ErrorData *zdm_transaction_abort(void);
ErrorData *zdm_subtransaction_begin(void **saved);
ErrorData *zdm_subtransaction_commit(void *saved);
ErrorData *zdm_subtransaction_rollback(void *saved);
ErrorData *zdm_procedure_commit(void); /* SPI commit and a new transaction: only where not atomic */
/* One utility statement that manages transactions itself (CREATE INDEX CONCURRENTLY, VACUUM), with
 * no transaction around it. As the session's user: the server itself switches to the table's owner.
 */
ErrorData *zdm_run_utility(const char *sql);

/* runtime.c */
void zdm_user_get(uint32_t *role, int *context);
void zdm_user_set(uint32_t role, int context);
int zdm_user_local_context(void); /* SECURITY_LOCAL_USERID_CHANGE: as in SECURITY DEFINER */

/* As VACUUM and CREATE INDEX run code of a table's owner: it can leave neither role nor session,
 * and nothing that it sets stays. And as foreign keys read tables: with FORCE ROW LEVEL SECURITY
 * rows would be missed unseen. An abort of the (sub)transaction ends it as well. */
typedef struct ZdmAsOwner {
    uint32_t user;
    int context;
    int settings; /* the level of settings */
} ZdmAsOwner;
ZdmAsOwner zdm_as_owner_begin(uint32_t owner);
void zdm_as_owner_end(const ZdmAsOwner *as_owner);
ErrorData *zdm_extension_owner(uint32_t *owner);
ErrorData *zdm_check_interrupts(void);
ErrorData *zdm_sleep(int64_t milliseconds);
ErrorData *zdm_set_latch(int pid);                /* of another backend; nothing where it is gone */
ErrorData *zdm_report_activity(const char *text); /* NULL = idle */
void zdm_log(const char *message);
double zdm_now_ms(void); /* monotonic */
double zdm_random(void); /* 0..1, for jitter */

/* Locks the relations in the order given, queueing at most timeout_ms in all. 55P03 in time-out. */
ErrorData *zdm_lock_relations(int count, const uint32_t *relations, int mode, double timeout_ms);
#define ZDM_ACCESS_SHARE 1
#define ZDM_ROW_SHARE 2
#define ZDM_ROW_EXCLUSIVE 3
#define ZDM_SHARE_UPDATE_EXCLUSIVE 4
#define ZDM_SHARE 5
#define ZDM_SHARE_ROW_EXCLUSIVE 6
#define ZDM_ACCESS_EXCLUSIVE 8

const char *zdm_lock_mode_name(int mode);

/* session_lock.c: for a statement that manages transactions itself; the lock is there before and
 * outlives them all. In a transaction, queueing at most timeout_ms: 55P03 after that. The abort of
 * any transaction releases it too. */
ErrorData *zdm_lock_for_session(uint32_t relation, int mode, double timeout_ms);
ErrorData *zdm_unlock_for_session(uint32_t relation, int mode);

/* give_way.c. What this session's statement has on a relation while it runs. */
typedef struct ZdmHeld {
    uint32_t relation;
    int mode;
} ZdmHeld;
typedef struct ZdmWaiter {
    int pid; /* 0: nobody */
    uint32_t relation;
    int mode;
} ZdmWaiter;
/* Until the end it is cancelled (57014) for anybody who has waited that long, or half as long as
 * takes the deadlock detector, for a lock that it keeps from him. A VACUUM waits on: it is in no
 * deadlock, and nobody queues behind it. The deadlock_timeout is the server's meanwhile. */
ErrorData *zdm_give_way_begin(int count, const ZdmHeld *held, int patience_ms);
/* Whom it was cancelled for. */
ErrorData *zdm_give_way_end(ZdmWaiter *to);
/* The worker's own: whoever waits longest for us is not kept waiting by the detector, it is us who
 * steps aside, and an autovacuum in our way is cancelled as for anybody who waits (ProcSleep). */
#define ZDM_DEADLOCK_TIMEOUT "20ms"

/* claim.c: what one process of a database has for itself until it releases it or ends. Never waits;
 * claiming again what one has is nothing. The view zdm.claim shows them. */
typedef enum ZdmClaim {
    ZDM_CLAIM_WORKER = 1, /* 0 */
    ZDM_CLAIM_LONG = 2,   /* a migration's id: a statement of it that may take hours runs */
    ZDM_CLAIM_SCAN = 3,   /* a scan's number */
} ZdmClaim;
ErrorData *zdm_claim(ZdmClaim claim, uint32_t number, bool *claimed);
ErrorData *zdm_claim_release(ZdmClaim claim, uint32_t number);

/* Until the transaction ends nobody else starts a migration of that table: they wait. 55P03 after
 * that long, 40P01 in a deadlock. */
ErrorData *zdm_lock_start(uint32_t relation, double timeout_ms);

/* settings.c: zdm.* settings as they stand in this session */
typedef struct ZdmSettings {
    bool direct; /* zdm.mode = direct */
    int lock_timeout_ms;
    int batch_time_ms;
    const char *pace; /* auto, full, or a number */
    int max_workers;
    int max_replica_lag_ms;
    int max_replica_lag_mb;
    int max_wal_rate_kb;
    double max_impact;
    int max_slot_retention;
    int max_requested_checkpoints;
    int max_archive_backlog;
    int max_horizon_age;
    double max_dead_rows;
    int min_disk_free_mb;
    double max_slowdown;
    double max_latency_ratio;
    int max_row_waits;
    int max_table_waiters;
    const char *window;
    int min_soak_seconds;
    bool wait_for_horizon;
    int verify_limit;
} ZdmSettings;

void zdm_settings_define(void);
ZdmSettings zdm_settings(void);
/* Sets one for the rest of the transaction (apply), or only checks the value. 22023, 42704. */
ErrorData *zdm_setting_override(const char *name, const char *value, bool apply);
/* The value that this session has set itself, NULL where it has the configured one. */
ErrorData *zdm_setting_of_session(const char *name, const char **value);

/* pressure.c: how the server fares, read in place: cheap enough for many times a second */
double zdm_cores(void);
/* Sessions that run at this moment: not idle, not asleep, not waiting for a lock; no workers. */
int zdm_running_sessions(void);
uint64_t zdm_own_wal_bytes(void); /* that this process has written */
/* Checkpoints since the statistics were reset that came before their time. */
ErrorData *zdm_requested_checkpoints(int64_t *count);
/* Sessions that wait for a lock on the table itself. */
ErrorData *zdm_table_waiters(uint32_t relation, int *count);
/* Bytes that are free where the table lies, or the server's WAL. 58030 where it cannot be asked. */
ErrorData *zdm_disk_free(uint32_t relation, bool of_wal, double *bytes);
/* The same by a tablespace's name; NULL: the database's own. */
ErrorData *zdm_tablespace_free(const char *tablespace, double *bytes);

/* wal_segment.c: makes a piece of the next file of WAL, unless that is there; mostly only a look at
 * shared memory. Called after each box, it is done in time. In no transaction. Raises what the disk
 * gives reason for. */
ErrorData *zdm_wal_prepare_segment(void);

/* security_label.c. label NULL: none. */
ErrorData *zdm_column_set_label(uint32_t relation, int column, const char *provider,
                                const char *label);

/* vacuum.c: for a VACUUM of the relation. Locks it for the session (SHARE UPDATE EXCLUSIVE) where
 * that is free, and from then on cancels this session's statement (57014) within some ms when
 * anybody waits for a lock on the relation. duty: share of the time that it may take; beside
 * others it lets them through at a duty of 1 too. */
ErrorData *zdm_vacuum_begin(uint32_t relation, double duty, bool beside_others, bool *locked);
ErrorData *zdm_vacuum_end(uint32_t relation);

/* latency.c: how long clients' transactions take, with and without a pass beside them.
 * Nothing is measured, and nobody conducts, without shared_preload_libraries.
 * Kinds of windows, by what passes do in them: work, work half as much of the time, rest. */
#define ZDM_BRISK 0
#define ZDM_GENTLE 1
#define ZDM_QUIET 2
#define ZDM_WINDOW_KINDS 3
#define ZDM_GENTLE_SHARE 0.5
#define ZDM_LATENCY_BUCKETS 208 /* up to a minute */
typedef struct ZdmLatencyComparison {
    double ms[ZDM_WINDOW_KINDS]; /* their 95th percentile */
    double idle_cores;           /* while passes rest; < 0: unknown */
    uint32_t number;             /* from 1 */
} ZdmLatencyComparison;

/* Whether this process is the one that opens windows; it becomes that where nobody is. */
bool zdm_latency_conduct(void);
/* For the conductor: a window, in which what begins after settle_ms counts. It ends by itself. */
void zdm_latency_open(int kind, double settle_ms, double length_ms);
void zdm_latency_close(void); /* no window, and no conductor */
/* What was counted in windows of that kind since it was taken last, by bucket. */
void zdm_latency_take(int kind, uint32_t *counts);
double zdm_latency_bucket_ms(int bucket); /* the least duration of a bucket */
/* What the conductor has found out last, for the passes of all workers; NULL: nothing is known any
 * more. Gives the comparison its number. */
void zdm_latency_publish(const ZdmLatencyComparison *comparison);
bool zdm_latency_published(ZdmLatencyComparison *comparison); /* false: nothing is known */
double zdm_latency_quiet_ms(void); /* for how long passes are to rest yet */
double zdm_latency_share(void);    /* of their time, that passes take in the window under way */

/* parse.c: types and mapping expressions */
typedef struct ZdmType {
    uint32_t oid;
    int32_t typmod;
    uint32_t collation;
    const char *name; /* schema-qualified where needed, with modifier */
} ZdmType;

/* Parses a type name as SQL does, under the caller's search_path, or (canonical) the pinned one
 * that zdm writes its own names for, with COLLATE where a column has a collation of its own. 42704,
 * 42601, 0A000 (serial). */
ErrorData *zdm_type_parse(const char *text, bool canonical, ZdmType *type);

typedef struct ZdmColumn {
    const char *name; /* in the expression's text */
    int attnum;       /* 0: does not exist yet */
    uint32_t type;
    int32_t typmod;
    uint32_t collation;
} ZdmColumn;

typedef struct ZdmExpression {
    const char *text;
    bool total;     /* never raises an error */
    bool immutable; /* depends on no setting */
} ZdmExpression;

/* A user's expression to canonical form ($k for mapped columns): see engine.h. */
ErrorData *zdm_expression_canonical(uint32_t relation, const char *text, int count,
                                    const ZdmColumn *columns, uint32_t type, int32_t typmod,
                                    uint32_t collation, bool explicit_cast,
                                    ZdmExpression *expression);
/* expression.c: whether a user's expression over the relation's columns, assigned to that type, is
 * NULL for every row: so much the server knows when it has folded constants, which evaluates them.
 */
ErrorData *zdm_expression_is_null(uint32_t relation, const char *text, const ZdmType *type,
                                  bool *is_null);
/* Re-resolves an expression of the catalog (a CHECK, an index key or predicate) as if the named
 * columns were of other types; they become $k in the result. generated: of that column, to which it
 * must be assignable; 0: none. 42883 where an operator is missing, 42804, 42P17. */
ErrorData *zdm_expression_remap(uint32_t relation, int generated, const char *text, int count,
                                const ZdmColumn *columns, const char **remapped);
/* Whether no expression and no predicate of the index raises an error, whatever the row. */
ErrorData *zdm_index_is_total(uint32_t index, bool *total);
/* A column default under the caller's search_path, made to stand for itself; and whether it has to
 * be evaluated for every row (ADD COLUMN would rewrite the table). 42804, 0A000 as the server says.
 */
ErrorData *zdm_default_parse(const char *text, const ZdmType *type, const char **canonical,
                             bool *is_volatile);
/* Whether ALTER COLUMN TYPE would rewrite the table (ATColumnChangeRequiresRewrite) or one of its
 * indexes (CheckIndexCompatible), where it is run under those settings (name=value;...). 42804
 * where there is no assignment cast. */
ErrorData *zdm_type_change_rewrites(uint32_t relation, int attnum, const ZdmType *type,
                                    const char *settings, bool *rewrites);

/* The default operator class's existence for a type in an access method. */
ErrorData *zdm_has_default_opclass(uint32_t type, uint32_t access_method, bool *has);

/* definition.c: CREATE INDEX statements and table constraints, as text that means the same in
 * another session */

/* The table of one CREATE INDEX statement, found as the caller's session finds it. 42601, 42P01. */
ErrorData *zdm_index_relation(const char *text, uint32_t *relation);

typedef struct ZdmIndexDefinition {
    const char *name;       /* NULL: none is given */
    const char *first_name; /* given, or what the server tries first: the same in each call */
    const char *free_name;  /* given, or what the server would choose now */
    const char *body;       /* USING method (keys) INCLUDE ... NULLS NOT DISTINCT WITH (...) */
    const char *predicate;  /* NULL: none */
    const char *tablespace; /* NULL: the database's own; not quoted */
    int key_count;
    const char *const *keys; /* their values, as in a SELECT list */
    bool unique;
    bool nulls_not_distinct;
    bool only; /* ON ONLY a partitioned table */
    bool if_not_exists;
} ZdmIndexDefinition;

/* The statement's own table is not looked at, so it may be one for another table with the same
 * columns. ACCESS SHARE on the relation. Raises what the server would raise for it. */
ErrorData *zdm_index_parse(const char *text, uint32_t relation, ZdmIndexDefinition *definition);
/* What the server would choose now for an index with these columns. */
ErrorData *zdm_index_choose_name(uint32_t index, const char **name);

typedef struct ZdmConstraint {
    char type;          /* pg_constraint.contype; x also for what needs an exclusion constraint */
    const char *text;   /* canonical; of a foreign key what stands behind REFERENCES t (columns) */
    const char *timing; /* " DEFERRABLE ..." or "" */
    const char *condition; /* of a CHECK */
    bool not_valid;
    bool no_inherit;
    bool enforced;
    int column_count; /* keys, or the referencing columns */
    const char *const *columns;
    uint32_t referenced;  /* table of a foreign key; 0: none */
    int referenced_count; /* 0: its primary key */
    const char *const *referenced_columns;
    const char *index_body; /* of a key: as in ZdmIndexDefinition */
    const char *options;    /* of a key: " WITH (...)" or "" */
    const char *tablespace;
    const char *index; /* USING INDEX; NULL: build one */
} ZdmConstraint;

/* What stands behind ADD CONSTRAINT name. ACCESS SHARE on the relation. */
ErrorData *zdm_constraint_parse(uint32_t relation, const char *name, const char *text,
                                ZdmConstraint *constraint);

/* Whether ADD FOREIGN KEY ... NOT VALID works on a partitioned table. */
bool zdm_has_not_valid_partitioned_foreign_key(void);

/* Raises a WARNING to the caller's client. */
ErrorData *zdm_warn(const char *message);

/* dependency.c */
ErrorData *zdm_trigger_depend(uint32_t relation, const char *trigger, int count,
                              const char *const *columns);
/* Whoever drops the trigger drops the constraint with it, or does not any more. */
ErrorData *zdm_constraint_bind_to_trigger(uint32_t constraint, uint32_t trigger);
ErrorData *zdm_constraint_release_from_trigger(uint32_t constraint, uint32_t trigger);
/* Makes the index of a key or of an exclusion constraint a plain index, so that the constraint can
 * be dropped and the index kept. ACCESS EXCLUSIVE on the table is held by the caller. */
ErrorData *zdm_constraint_release_index(uint32_t constraint);
/* Takes a partition's index, and the constraint on it, off its parent's. ACCESS EXCLUSIVE on both
 * tables is held by the caller. */
ErrorData *zdm_index_detach(uint32_t index);
/* Whether a unique index refuses duplicates. ACCESS EXCLUSIVE on the table is held by the caller,
 * who knows that there are none where it is set. */
ErrorData *zdm_index_set_unique(uint32_t index, bool unique);
/* A foreign key that is NOT VALID and known to hold for every row. ACCESS EXCLUSIVE on both of its
 * tables is held by the caller. */
ErrorData *zdm_foreign_key_mark_validated(uint32_t relation, const char *name);

/* exclusion.c */

/* Makes a plain index an exclusion constraint of the same name. operators: one for each key, of any
 * type; those of the same names for the keys' own types are taken. ACCESS EXCLUSIVE on the table is
 * held by the caller, who knows that no two rows exclude each other. 42883, 42809. */
ErrorData *zdm_index_exclude(uint32_t index, int count, const uint32_t *operators, bool deferrable,
                             bool deferred);

/* Whether the operator of the same name does for another type and its default operator class. */
ErrorData *zdm_exclusion_operator_fits(uint32_t given, uint32_t type, uint32_t access_method,
                                       bool *fits);

/* generation.c */

/* Gives a stored generated column another expression, and writes no row. ACCESS EXCLUSIVE on the
 * table is held by the caller, who knows that every row has the values that it gives. */
ErrorData *zdm_generation_set(uint32_t relation, int attnum, const char *text);

/* An object of extended statistics gets another's name, schema and owner; that one goes, under the
 * name, to where the first was. Both are of one table, which is held ACCESS EXCLUSIVE. */
ErrorData *zdm_statistics_take_place(uint32_t taker, uint32_t taken, const char *taken_name);

/* trigger.c */

/* Adds a column that is not among a trigger's UPDATE OF columns to them, or takes one that is off.
 * Not the last. SHARE ROW EXCLUSIVE on the trigger's table is held by the caller. */
ErrorData *zdm_trigger_change_column(uint32_t trigger, int attnum, bool add);

/* view.c */
typedef struct ZdmViewColumn {
    uint32_t relation;
    int attnum;
    uint32_t type;
    int32_t typmod;
    uint32_t collation;
} ZdmViewColumn;

/* The columns that a view's query (of pg_get_viewdef) would have if the named columns were of other
 * types. ACCESS SHARE on the relations. Raises what the server would raise for it: 42883, 42804 ...
 */
ErrorData *zdm_view_shape(const char *text, int count, const ZdmViewColumn *columns, int *width,
                          const ZdmViewColumn **shape);

typedef struct ZdmColumnPair {
    uint32_t relation;
    int from, to; /* attnums */
} ZdmColumnPair;

/* Runs a CREATE VIEW or CREATE RULE of the server's own writing in which the names of the pairs'
 * columns have been exchanged since. */
ErrorData *zdm_run_exchanged(const char *text, int count, const ZdmColumnPair *pairs);

/* Whether it has the role's rights and could SET ROLE to it. */
ErrorData *zdm_role_may_act_as(uint32_t member, uint32_t role, bool *may);

/* acl.c */

/* As text of aclitem[]; NULL: the default. attnum 0: of the whole relation. */
ErrorData *zdm_relation_set_acl(uint32_t relation, int attnum, const char *acl);
/* The privileges on one column become those on another, or (keep) are added to them; with their
 * grantors and grant options. */
ErrorData *zdm_column_share_acl(uint32_t relation, int from, int to, bool keep);

/* launch.c */
void zdm_worker_launch_at_commit(void);
bool zdm_worker_launch(uint32_t database, uint32_t tablespace); /* false: no slot is free */
ErrorData *zdm_worker_launch_here(bool *launched);
/* A helper for one migration. It is not started again, whatever becomes of it. */
ErrorData *zdm_helper_launch_here(int64_t migration, bool *launched);

#ifdef __cplusplus
}
#endif
