/*
 * wal_segment.c - the next file of WAL is there before anybody needs it.
 *
 * The server makes a file in the middle of whatever commit comes to it first, under the lock that
 * every other commit waits for: 16 MB of zeros and a sync, 50 ms on a middling disk, and that
 * several times a second beside a pass at full speed. Where checkpoints recycle enough old files it
 * happens to nobody, but they do not until the server has learnt of the pass. So the pass makes its
 * own, piece by piece: a sync of all at once would hold up others' syncs.
 */
#include "pg/guard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"

/* Twice as fast as the present file fills, and from the beginning by so much ahead of it. */
#define PIECE ((off_t)1024 * 1024)
/* At once. */
#define MOST (4 * PIECE)

static const char zeros[64 * 1024];

static XLogSegNo ready = 0; /* up to this one all are there */
static int fd = -1;         /* of the file that is being made */
static off_t written = 0;
static char temporary[MAXPGPATH];

static void give_up(void) {
    if (fd < 0) return;
    close(fd);
    fd = -1;
    (void)unlink(temporary);
}

static void give_up_at_exit(int code, Datum arg) { give_up(); }

/*
 * Where this process is killed, the server removes the file as it starts again: it looks for names
 * that begin with xlogtemp. One of just the pid it may use itself in this process.
 */
static void begin(void) {
    static bool registered = false;

    if (!registered) before_shmem_exit(give_up_at_exit, 0);
    registered = true;
    snprintf(temporary, sizeof(temporary), XLOGDIR "/xlogtemp.zdm.%d", (int)getpid());
    (void)unlink(temporary);
    fd = BasicOpenFile(temporary, O_RDWR | O_CREAT | O_EXCL | PG_BINARY);
    if (fd < 0)
        ereport(ERROR, errcode_for_file_access(),
                errmsg("could not create file \"%s\": %m", temporary));
    written = 0;
}

/*
 * The disk is told to begin with it, and not waited for. Not by pg_flush_data, to which a failure
 * is reason enough to stop the server: what is lost of this file is found out when it is synced.
 */
static void begin_to_sync(off_t from, off_t size) {
#ifdef HAVE_SYNC_FILE_RANGE
    if (enableFsync) (void)sync_file_range(fd, from, size, SYNC_FILE_RANGE_WRITE);
#endif
}

static void write_until(off_t end) {
    off_t from = written;

    while (written < end) {
        size_t size = Min(sizeof(zeros), (size_t)(end - written));

        errno = 0;
        if (pg_pwrite(fd, zeros, size, written) != (ssize_t)size) {
            if (errno == 0) errno = ENOSPC;
            ereport(ERROR, errcode_for_file_access(),
                    errmsg("could not write to file \"%s\": %m", temporary));
        }
        written += (off_t)size;
    }
    begin_to_sync(from, written - from);
}

static bool exists(const char *path) {
    struct stat status;

    return stat(path, &status) == 0;
}

/*
 * As InstallXLogFileSegment does it (xlog.c), under the lock under which a file gets its name.
 * While we waited for the disk WAL may have gone past this one, and a checkpoint removed it: it
 * must not come back, or it would be archived once more. Under the lock no checkpoint gets that
 * far.
 */
static void install(XLogSegNo next, const char *path) {
    XLogSegNo current;

    if (pg_fsync(fd) != 0)
        ereport(ERROR, errcode_for_file_access(),
                errmsg("could not fsync file \"%s\": %m", temporary));
    LWLockAcquire(ControlFileLock, LW_EXCLUSIVE);
    XLByteToSeg(GetXLogInsertRecPtr(), current, wal_segment_size);
    if (current < next && !exists(path)) (void)durable_rename(temporary, path, LOG);
    LWLockRelease(ControlFileLock);
    give_up();
}

static void prepare(XLogSegNo next, off_t filled) {
    TimeLineID timeline = GetWALInsertionTimeLine();
    char path[MAXPGPATH];

    XLogFilePath(path, timeline, next, wal_segment_size);
    if (exists(path)) {
        give_up();
        ready = next;
    } else if (!wal_init_zero) { /* then it takes no time */
        close(XLogFileInit(next, timeline));
        ready = next;
    } else {
        off_t wanted = Min(2 * filled + PIECE, (off_t)wal_segment_size);

        if (fd < 0) begin();
        write_until(Min(wanted, written + MOST));
        if (written >= wal_segment_size) install(next, path);
    }
}

static void prepare_or_give_up(XLogSegNo next, off_t filled) {
    PG_TRY();
    { prepare(next, filled); }
    PG_CATCH();
    {
        LWLockReleaseAll(); /* there is no transaction whose end would do that */
        give_up();
        PG_RE_THROW();
    }
    PG_END_TRY();
}

ErrorData *zdm_wal_prepare_segment(void) {
    GUARD_BEGIN();
    XLogRecPtr position = GetXLogInsertRecPtr();
    XLogSegNo current;

    XLByteToSeg(position, current, wal_segment_size);
    if (ready <= current)
        prepare_or_give_up(current + 1, (off_t)XLogSegmentOffset(position, wal_segment_size));
    GUARD_END();
}
