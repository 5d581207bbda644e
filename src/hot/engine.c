/*
 * engine.c - the hot path behind the error boundary: what pg/engine.h declares.
 */
#include "pg/guard.h"

#include "hot/hot.h"

ErrorData *zdm_backfill_open(uint32_t relation, uint32_t relfilenode, ZdmSyncArguments arguments,
                             uint32_t next_block, uint32_t end_block, int busy_block_count,
                             const uint32_t *busy_blocks, ZdmBackfill **backfill) {
    GUARD_BEGIN();
    *backfill = zdm_hot_backfill_open(relation, relfilenode, arguments, next_block, end_block,
                                      busy_block_count, busy_blocks);
    GUARD_END();
}

ErrorData *zdm_backfill_run(ZdmBackfill *backfill, int64_t budget_us, bool wait_for_horizon,
                            ZdmBackfillReport *report) {
    GUARD_BEGIN();
    zdm_hot_backfill_run(backfill, budget_us, wait_for_horizon, report);
    GUARD_END();
}

void zdm_backfill_vacuumed(ZdmBackfill *backfill) { zdm_hot_backfill_vacuumed(backfill); }

void zdm_backfill_close(ZdmBackfill *backfill) { zdm_hot_backfill_close(backfill); }

ErrorData *zdm_sync_reads(uint32_t relation, ZdmSyncArguments arguments, int *count,
                          const char *const **columns) {
    GUARD_BEGIN();
    *count = zdm_hot_sync_reads(relation, arguments, columns);
    GUARD_END();
}

ErrorData *zdm_verify_run(uint32_t relation, uint32_t relfilenode, ZdmSyncArguments arguments,
                          uint32_t next_block, uint32_t end_block, int64_t budget_us, int limit,
                          ZdmVerifyReport *report) {
    GUARD_BEGIN();
    zdm_hot_verify(relation, relfilenode, arguments, next_block, end_block, budget_us, limit,
                   report);
    GUARD_END();
}

ErrorData *zdm_repair_row(uint32_t relation, ZdmSyncArguments arguments, uint32_t block,
                          uint16_t offset, bool *repaired) {
    GUARD_BEGIN();
    *repaired = zdm_hot_repair(relation, arguments, block, offset);
    GUARD_END();
}

void zdm_mirror_copying(const char *trigger) { zdm_hot_mirror_copying(trigger); }

ErrorData *zdm_mirror_resync(uint32_t relation, const char *trigger, const char *const *key,
                             bool *changed) {
    GUARD_BEGIN();
    *changed = zdm_hot_mirror_resync(relation, trigger, key);
    GUARD_END();
}
