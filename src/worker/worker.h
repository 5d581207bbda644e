/* worker.h - what entry/worker.c calls. */
#pragma once

#include "pg/bridge.h"

#ifdef __cplusplus
extern "C" ErrorData *zdm_worker_run(void) noexcept;
#else
ErrorData *zdm_worker_run(void);
#endif
