/*
 * version.h - every difference between server versions 15 to 18 (ready for 19), and nothing else.
 */
#pragma once

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "zdm needs PostgreSQL 15 or later"
#endif
