/*
 * module.c - the library as the server loads it: settings and, with shared_preload_libraries, the
 * launcher and the measurement of latencies.
 */
#include "pg/guard.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "entry/launcher.h"
#include "pg/latency.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void _PG_init(void) {
    zdm_settings_define();
    if (!process_shared_preload_libraries_in_progress) return;
    zdm_launcher_register();
    zdm_latency_install();
}
