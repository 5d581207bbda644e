/*
 * hot.h - the hot path's entries, for src/entry and src/pg/engine.c. They raise as any server code
 * does.
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#include "postgres.h"

#include "access/htup.h"
#include "fmgr.h"

#include "pg/engine.h"

extern HeapTuple zdm_hot_sync(FunctionCallInfo fcinfo);

extern Datum zdm_hot_mirror(FunctionCallInfo fcinfo);
extern void zdm_hot_mirror_copying(const char *trigger);
extern bool zdm_hot_mirror_resync(Oid relation, const char *trigger, const char *const *key);

extern ZdmBackfill *zdm_hot_backfill_open(Oid relation, Oid relfilenode, ZdmSyncArguments arguments,
                                          uint32 next_block, uint32 end_block, int busy_block_count,
                                          const uint32 *busy_blocks);
extern void zdm_hot_backfill_run(ZdmBackfill *backfill, int64 budget_us, bool wait_for_horizon,
                                 ZdmBackfillReport *report);
extern void zdm_hot_backfill_vacuumed(ZdmBackfill *backfill);
extern void zdm_hot_backfill_close(ZdmBackfill *backfill);

extern int zdm_hot_sync_reads(Oid relation, ZdmSyncArguments arguments,
                              const char *const **columns);
extern void zdm_hot_verify(Oid relation, Oid relfilenode, ZdmSyncArguments arguments,
                           uint32 next_block, uint32 end_block, int64 budget_us, int limit,
                           ZdmVerifyReport *report);
extern bool zdm_hot_repair(Oid relation, ZdmSyncArguments arguments, uint32 block, uint16 offset);

#ifdef __cplusplus
}
#endif
