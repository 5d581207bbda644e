/* worker.h - what entry/worker.c calls. */
#pragma once

#include "pg/bridge.h"

#ifdef __cplusplus
extern "C" {
#define ZDM_NOEXCEPT noexcept
#else
#define ZDM_NOEXCEPT
#endif

ErrorData *zdm_worker_run(void) ZDM_NOEXCEPT;
/* A helper of the worker's: ranges of one migration's backfill. */
ErrorData *zdm_helper_run(int64_t migration) ZDM_NOEXCEPT;

#undef ZDM_NOEXCEPT
#ifdef __cplusplus
}
#endif
