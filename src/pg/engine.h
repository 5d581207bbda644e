/*
 * engine.h - what the steps may ask of the hot path, in plain C types: backfill, verify, repair.
 *
 * All three read the same *sync arguments* as the row trigger (the trigger's own arguments), so
 * there is one definition of what "new = forward(old)" means:
 *
 *     [0]  "1"                      format of these arguments
 *     [1]  "old" | "new"            the side that the phase trusts
 *     [2]  "" | "TimeZone=UTC;..."  settings to evaluate under, where an expression is not
 * immutable [3]  n                        number of old columns, 0 = fill the new ones where they
 * are NULL n x (name, reverse)      reverse: canonical expression, "" = not revertible
 *     [.]  m                        number of new columns
 *          m x (name, forward)      forward: canonical expression
 *
 * A canonical expression is schema-qualified and names the mapped columns by position: $1..$n are
 * the old columns, $n+1..$n+m the new ones; all others by name. So it survives renames of the
 * mapped columns, other attribute numbers in a partition, pg_dump and logical restore.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ErrorData ErrorData;

typedef struct ZdmSyncArguments {
    int count;
    const char *const *values;
} ZdmSyncArguments;

/* Backfill of one heap (a plain table or a leaf partition). Lives in this process only; what must
 * survive a crash is in the report. */
typedef struct ZdmBackfill ZdmBackfill;

typedef struct ZdmBackfillReport {
    uint32_t first_unfinished_block; /* all blocks below are finished, except the busy ones */
    bool done;                       /* range finished and no busy blocks are left */
    bool rewritten;       /* the heap has another relfilenode than expected: start anew */
    int64_t rows_hot;     /* of this box: new version on the same page */
    int64_t rows_moved;   /* of this box: new version elsewhere, index entries made */
    int64_t rows_failed;  /* of this box: forward raised an error; the new side is NULL */
    int64_t rows_busy;    /* of this box: being written by somebody, looked at again later */
    bool waited_for;      /* the box ended early because somebody waits for a lock of ours */
    bool between_windows; /* one has just ended: no page is half done, but for the busy ones */
    bool idle;            /* a pass found work and could do none: come back a moment later */
    bool only_held_left;  /* a look at all busy blocks has found each row left on them held by
                             somebody, and there is nothing else to do: pause */
    bool horizon_stuck;   /* for long: an old snapshot keeps dead rows from being pruned */
    int busy_block_count; /* blocks below first_unfinished_block that still hold busy rows */
    const uint32_t *busy_blocks; /* owned by the backfill, valid until its next call */
} ZdmBackfillReport;

/* relfilenode: what the cursor belongs to. Blocks [next_block, end_block) plus busy_blocks are to
 * do. Takes no lock. Call inside or outside of a transaction. */
ErrorData *zdm_backfill_open(uint32_t relation, uint32_t relfilenode, ZdmSyncArguments arguments,
                             uint32_t next_block, uint32_t end_block, int busy_block_count,
                             const uint32_t *busy_blocks, ZdmBackfill **backfill);

/* One time box of work in the caller's transaction (which the caller commits; the engine counts on
 * it). ROW EXCLUSIVE on the table until then; never waits for a row lock. budget_us: when to stop,
 * checked a page at a time. wait_for_horizon: true = never give up on in-place because of an old
 * snapshot, false = after two fruitless passes move the rest of the window out.
 * After any error: zdm_backfill_close, roll back, open again from what was last committed. */
ErrorData *zdm_backfill_run(ZdmBackfill *backfill, int64_t budget_us, bool wait_for_horizon,
                            ZdmBackfillReport *report);
/* A VACUUM has told the free space map of the room that pages keep for their next update: the runs
 * that follow take that back. */
void zdm_backfill_vacuumed(ZdmBackfill *backfill);
void zdm_backfill_close(ZdmBackfill *backfill);

typedef enum ZdmDiscrepancyClass {
    ZDM_MISSING,  /* new side NULL, forward(old) is not */
    ZDM_STALE,    /* new <> forward(old) */
    ZDM_SPURIOUS, /* new side not NULL, forward(old) is */
    ZDM_ERROR,    /* the expression of the trusted side raised an error */
    ZDM_REVERSE   /* the new side is trusted (soak): old <> reverse(new) */
} ZdmDiscrepancyClass;

typedef struct ZdmDiscrepancy {
    ZdmDiscrepancyClass class_;
    const char *key;       /* jsonb text: primary key columns, or {"ctid": "(0,1)"} without one */
    const char *old_value; /* text of the column, or a row literal for several; NULL = SQL NULL */
    const char *expected_value; /* for ZDM_ERROR the error's message */
    const char *actual_value;
} ZdmDiscrepancy;

typedef struct ZdmVerifyReport {
    uint32_t next_block;
    bool done;
    bool rewritten;
    int64_t rows;
    int64_t discrepancies; /* all of this box, also those not stored */
    int64_t lost_with_old; /* those of them that lose something with the old side */
    int64_t lost_with_new; /* with the new side */
    int stored;
    const ZdmDiscrepancy *found; /* at most limit; in the caller's memory context */
} ZdmVerifyReport;

/* The names of the columns that the expressions read and that belong to neither side; in the
 * caller's memory context. Raises what the parser raises, where an expression does not fit the
 * table any more. */
ErrorData *zdm_sync_reads(uint32_t relation, ZdmSyncArguments arguments, int *count,
                          const char *const **columns);

/* One time box of a pass over one heap under a snapshot of its own: ACCESS SHARE. budget_us 0 = to
 * the end. Counts visible rows whose pair is not consistent (new = forward(old), or old =
 * reverse(new)). While the new side is trusted (soak) a row whose old side cannot hold the value
 * (reverse raised an error or gave NULL) is a discrepancy of class reverse as well. Where only the
 * old side has something the class is missing, or error where forward raises one. */
ErrorData *zdm_verify_run(uint32_t relation, uint32_t relfilenode, ZdmSyncArguments arguments,
                          uint32_t next_block, uint32_t end_block, int64_t budget_us, int limit,
                          ZdmVerifyReport *report);

/* One box of a pass, which takes this share of the time of this process. Beside others at work on
 * this machine it rests in between, see hot/breath.hpp. */
void zdm_box_begins(bool beside_others, double share);
/* Gives the rest that is still owed, in ms, and that there has been. Below 0: there was more of it
 * than was owed, which the next box has the good of. */
double zdm_box_ends(double *rested_ms);

/* Makes the pairs of the row at (block, offset) equal again in the trusted direction, in place and
 * without firing user triggers; waits for the row under lock_timeout (the caller's session).
 * *repaired = false where the row is gone or already consistent, or the expression fails. In soak a
 * value that only the old side has is not made NULL: the new side is computed from it, but not
 * where a foreign key stands on that. What reverse fails for leaves the old side NULL. */
ErrorData *zdm_repair_row(uint32_t relation, ZdmSyncArguments arguments, uint32_t block,
                          uint16_t offset, bool *repaired);

/* The mirror: triggers on the two tables of a split (the source, and the part that gets some of its
 * columns) that bring each write over to the other table. Their arguments:
 *
 *     [0]  name of the row triggers     the same on both tables; so they find each other
 *     [1]  "source" | "part"            this table
 *     [2]  "old" | "new"                the side that the phase trusts: the source, or the part
 *     [3]  n                            number of key columns
 *          n names, then the names of the columns that move; the same on both tables
 */

/* Rows that this process writes to the part come from the source: the part's triggers of that name
 * let them be. "" = none. */
void zdm_mirror_copying(const char *trigger);
/* Brings the row of a key (as text, by column) over from this table, as its trigger would. The
 * caller is in a transaction and has rights on both tables. */
ErrorData *zdm_mirror_resync(uint32_t relation, const char *trigger, const char *const *key,
                             bool *changed);

#ifdef __cplusplus
}
#endif
