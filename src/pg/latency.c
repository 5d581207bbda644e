/*
 * latency.c - with shared_preload_libraries = 'zdm': how long clients' transactions take here
 * (their statements and the commit, not what the client does in between), counted by duration in
 * shared memory, while a pass over a table wants to know.
 *
 * One worker of the server, the conductor, opens one window after the other: in a brisk one the
 * passes work, in a gentle one they work half as much of the time, in a quiet one they rest. A
 * transaction counts where all of it was in the same window, so that a quiet window has nothing of
 * ours. While there is no window, all that this costs a statement is the look at one word of shared
 * memory.
 */
#include "pg/guard.h"

#include <time.h>

#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "pg/latency.h"
#include "pg/version.h"

typedef struct Latencies {
    pg_atomic_uint32 number;    /* of the window: another one begins */
    pg_atomic_uint32 kind;      /* ZDM_BRISK, ZDM_GENTLE, ZDM_QUIET */
    pg_atomic_uint64 begins_us; /* what began before does not count */
    pg_atomic_uint64 ends_us; /* there is no window after it, also where its conductor was killed */
    pg_atomic_uint32 conductor; /* pid */
    pg_atomic_uint32 counts[ZDM_WINDOW_KINDS][ZDM_LATENCY_BUCKETS];
    slock_t mutex; /* of the rest */
    bool is_known;
    ZdmLatencyComparison comparison;
} Latencies;

typedef struct Stopwatch {
    bool running;
    uint32 number;
    uint64 began_us;
} Stopwatch;

/* What the transaction under way has taken. */
typedef struct Spent {
    uint64 us;
    uint32 number;
    bool is_of_one; /* all that was measured of it */
} Spent;

static Latencies *latencies = NULL;
static Spent spent = {0, 0, true};
static int statement_depth = 0;
static Stopwatch commit_watch = {false, 0, 0};

static shmem_request_hook_type next_shmem_request = NULL;
static shmem_startup_hook_type next_shmem_startup = NULL;
static ExecutorRun_hook_type next_executor_run = NULL;

static uint64 now_us(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64)now.tv_sec * 1000000 + (uint64)now.tv_nsec / 1000;
}

/* Eight buckets to a doubling. */
static int bucket_of(uint64 us) {
    int octave, bucket;

    if (us < 8) return (int)us;
    octave = pg_leftmost_one_pos64(us);
    bucket = octave * 8 + (int)((us >> (octave - 3)) & 7) - 16;
    return Min(bucket, ZDM_LATENCY_BUCKETS - 1);
}

double zdm_latency_bucket_ms(int bucket) {
    int octave = (bucket + 16) / 8;

    if (bucket < 8) return bucket / 1000.0;
    return (double)((uint64)(8 + (bucket + 16) % 8) << (octave - 3)) / 1000.0;
}

static Stopwatch start_watch(void) {
    Stopwatch watch = {false, 0, 0};
    uint64 ends;

    if (latencies == NULL || MyBackendType != B_BACKEND) return watch;
    ends = pg_atomic_read_u64(&latencies->ends_us);
    if (ends == 0) return watch;
    watch.number = pg_atomic_read_u32(&latencies->number);
    watch.began_us = now_us();
    if (watch.began_us > ends) /* and nobody opens another one */
        (void)pg_atomic_compare_exchange_u64(&latencies->ends_us, &ends, 0);
    else
        watch.running = watch.began_us >= pg_atomic_read_u64(&latencies->begins_us);
    return watch;
}

static void stop_watch(const Stopwatch *watch) {
    uint64 now = now_us();

    if (spent.us == 0) spent.number = watch->number;
    if (!watch->running || spent.number != watch->number ||
        pg_atomic_read_u32(&latencies->number) != watch->number ||
        now > pg_atomic_read_u64(&latencies->ends_us))
        spent.is_of_one = false;
    else
        spent.us += Max(now - watch->began_us, 1);
}

static void count_transaction(void) {
    if (spent.us > 0 && spent.is_of_one && pg_atomic_read_u32(&latencies->number) == spent.number)
        (void)pg_atomic_fetch_add_u32(
            &latencies->counts[pg_atomic_read_u32(&latencies->kind)][bucket_of(spent.us)], 1);
}

static void run_measured(ZDM_EXECUTOR_RUN_PARAMETERS) {
    const bool outermost = statement_depth == 0;
    Stopwatch watch = outermost ? start_watch() : (Stopwatch){false, 0, 0};

    statement_depth++;
    PG_TRY();
    {
        if (next_executor_run)
            next_executor_run(ZDM_EXECUTOR_RUN_ARGUMENTS);
        else
            standard_ExecutorRun(ZDM_EXECUTOR_RUN_ARGUMENTS);
    }
    PG_FINALLY();
    { statement_depth--; }
    PG_END_TRY();
    if (outermost && MyBackendType == B_BACKEND) stop_watch(&watch);
}

static void executor_run(ZDM_EXECUTOR_RUN_PARAMETERS) {
    /* Where nobody measures, and nobody has begun to in a statement around this one. */
    if (latencies == NULL ||
        (statement_depth == 0 && pg_atomic_read_u64(&latencies->ends_us) == 0)) {
        if (next_executor_run)
            next_executor_run(ZDM_EXECUTOR_RUN_ARGUMENTS);
        else
            standard_ExecutorRun(ZDM_EXECUTOR_RUN_ARGUMENTS);
        return;
    }
    run_measured(ZDM_EXECUTOR_RUN_ARGUMENTS);
}

/* A commit is where a client waits for the disk. One that has written nothing waits for nothing. */
static void transaction_event(XactEvent event, void *arg) {
    if (latencies == NULL) return;
    switch (event) {
        case XACT_EVENT_PRE_COMMIT:
            if (!TransactionIdIsValid(GetTopTransactionIdIfAny())) break;
            commit_watch = start_watch();
            if (!commit_watch.running) spent.is_of_one = false;
            break;
        case XACT_EVENT_COMMIT:
            if (commit_watch.running) stop_watch(&commit_watch);
            count_transaction();
            /* fall through */
        case XACT_EVENT_ABORT:
        case XACT_EVENT_PREPARE:
            commit_watch.running = false;
            spent = (Spent){0, 0, true};
            break;
        default:
            break;
    }
}

static void request_memory(void) {
    if (next_shmem_request) next_shmem_request();
    RequestAddinShmemSpace(sizeof(Latencies));
}

static void create_memory(void) {
    bool found;

    if (next_shmem_startup) next_shmem_startup();
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    latencies = ShmemInitStruct("zdm latencies", sizeof(Latencies), &found);
    if (!found) {
        pg_atomic_init_u32(&latencies->number, 0);
        pg_atomic_init_u32(&latencies->kind, ZDM_BRISK);
        pg_atomic_init_u64(&latencies->begins_us, 0);
        pg_atomic_init_u64(&latencies->ends_us, 0);
        pg_atomic_init_u32(&latencies->conductor, 0);
        SpinLockInit(&latencies->mutex);
        latencies->is_known = false;
        memset(&latencies->comparison, 0, sizeof(latencies->comparison));
        for (int kind = 0; kind < ZDM_WINDOW_KINDS; kind++)
            for (int bucket = 0; bucket < ZDM_LATENCY_BUCKETS; bucket++)
                pg_atomic_init_u32(&latencies->counts[kind][bucket], 0);
    }
    LWLockRelease(AddinShmemInitLock);
}

void zdm_latency_install(void) {
    next_shmem_request = shmem_request_hook;
    shmem_request_hook = request_memory;
    next_shmem_startup = shmem_startup_hook;
    shmem_startup_hook = create_memory;
    next_executor_run = ExecutorRun_hook;
    ExecutorRun_hook = executor_run;
    RegisterXactCallback(transaction_event, NULL);
}

/* ---- What a pass asks for ---- */

bool zdm_latency_conduct(void) {
    uint32 conductor;

    if (latencies == NULL) return false;
    conductor = pg_atomic_read_u32(&latencies->conductor);
    if (conductor == (uint32)MyProcPid) return true;
    if (pg_atomic_read_u64(&latencies->ends_us) > now_us()) return false;
    return pg_atomic_compare_exchange_u32(&latencies->conductor, &conductor, (uint32)MyProcPid);
}

void zdm_latency_open(int kind, double settle_ms, double length_ms) {
    uint64 now = now_us();

    /* In this order: what is under way counts for no window. */
    pg_atomic_write_u64(&latencies->begins_us, now + (uint64)(settle_ms * 1000));
    (void)pg_atomic_fetch_add_u32(&latencies->number, 1);
    pg_atomic_write_u32(&latencies->kind, (uint32)kind);
    pg_atomic_write_u64(&latencies->ends_us, now + (uint64)((settle_ms + length_ms) * 1000));
}

void zdm_latency_close(void) {
    if (latencies == NULL || pg_atomic_read_u32(&latencies->conductor) != (uint32)MyProcPid) return;
    zdm_latency_publish(NULL);
    pg_atomic_write_u64(&latencies->ends_us, 0);
    (void)pg_atomic_fetch_add_u32(&latencies->number, 1);
    pg_atomic_write_u32(&latencies->conductor, 0);
}

void zdm_latency_take(int kind, uint32_t *counts) {
    for (int bucket = 0; bucket < ZDM_LATENCY_BUCKETS; bucket++)
        counts[bucket] = pg_atomic_exchange_u32(&latencies->counts[kind][bucket], 0);
}

/* For how long there is a window of that kind yet. */
static double left_of_ms(uint32 kind) {
    uint64 now, ends;

    if (latencies == NULL || pg_atomic_read_u32(&latencies->kind) != kind) return 0;
    ends = pg_atomic_read_u64(&latencies->ends_us);
    now = now_us();
    return ends > now ? (double)(ends - now) / 1000 : 0;
}

double zdm_latency_quiet_ms(void) { return left_of_ms(ZDM_QUIET); }

double zdm_latency_share(void) { return left_of_ms(ZDM_GENTLE) > 0 ? ZDM_GENTLE_SHARE : 1; }

void zdm_latency_publish(const ZdmLatencyComparison *comparison) {
    SpinLockAcquire(&latencies->mutex);
    latencies->is_known = comparison != NULL;
    if (comparison != NULL) {
        uint32 number = latencies->comparison.number + 1;

        latencies->comparison = *comparison;
        latencies->comparison.number = number;
    }
    SpinLockRelease(&latencies->mutex);
}

bool zdm_latency_published(ZdmLatencyComparison *comparison) {
    bool is_known;

    if (latencies == NULL) return false;
    SpinLockAcquire(&latencies->mutex);
    is_known = latencies->is_known;
    *comparison = latencies->comparison;
    SpinLockRelease(&latencies->mutex);
    return is_known;
}
