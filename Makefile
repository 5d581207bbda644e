# make, make install, make installcheck: an ordinary PGXS module. PG_CONFIG chooses the server.
MODULE_big = zdm
EXTENSION  = zdm
DATA       = $(sort $(wildcard sql/zdm--*.sql))
OBJS       = $(patsubst %.c,%.o,$(sort $(wildcard src/*/*.c))) \
             $(patsubst %.cpp,%.o,$(sort $(wildcard src/*/*.cpp)))

REGRESS        = $(patsubst sql/%.sql,%,$(filter-out $(DATA),$(sort $(wildcard sql/*.sql))))
ISOLATION      = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=test/isolation
TAP_TESTS     := $(shell perl -MIPC::Run -e 'print 1' 2>/dev/null)
PROVE_TESTS    = test/tap/*.pl

# C++ needs its own standard, hidden symbols, and the C++ runtime at link time (PGXS links with
# the C compiler). src/hot lets the server's longjmp pass: no exceptions, no destructors to skip.
PG_CPPFLAGS  = -Isrc
PG_CXXFLAGS  = -std=c++17 -Wall -Wextra -fvisibility=hidden -MMD -MP
PG_CFLAGS    = -Wno-declaration-after-statement -MMD -MP
SHLIB_LINK   = -lfmt -lstdc++
EXTRA_CLEAN  = $(OBJS:.o=.d)

# Bitcode only lets the JIT inline us: not worth a second compiler.
override with_llvm := no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

src/hot/%.o: override CXXFLAGS += -fno-exceptions -fno-rtti -Wno-register -Wno-unused-parameter -Wno-sign-compare

-include $(OBJS:.o=.d)
