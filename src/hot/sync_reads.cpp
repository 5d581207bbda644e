// What a sync trigger's expressions read besides the columns that they keep equal. No exceptions,
// no destructors, longjmp may pass.
#include "hot/hot.h"
#include "hot/sync_program.hpp"

extern "C" {
#include "access/table.h"
}

using namespace zdm;

extern "C" int zdm_hot_sync_reads(Oid relid, ZdmSyncArguments arguments, const int **attnums) {
    Relation relation = table_open(relid, AccessShareLock);
    SyncProgram *program =
        sync_program_build(relation, InvalidOid, arguments.count, arguments.values);
    program->scoped = true;
    const int count = program->other_count;
    int *read = static_cast<int *>(palloc(sizeof(int) * (count + 1)));
    for (int i = 0; i < count; i++) read[i] = program->others[i].attnum;
    sync_program_free(program);
    table_close(relation, NoLock);
    *attnums = read;
    return count;
}
