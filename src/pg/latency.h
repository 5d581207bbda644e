/*
 * latency.h - what the library's entry needs of latency.c; the rest is in bridge.h.
 */
#pragma once

#include "pg/bridge.h"

/* Installs the hooks. While shared_preload_libraries are loaded. */
void zdm_latency_install(void);
