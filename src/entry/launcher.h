/* launcher.h - registers the launcher; only while the postmaster preloads libraries. */
#pragma once

void zdm_launcher_register(void);
