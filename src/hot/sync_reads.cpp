// What a sync trigger's expressions read besides the columns that they keep equal. No exceptions,
// no destructors, longjmp may pass.
#include "hot/hot.h"
#include "hot/sync_program.hpp"

extern "C" {
#include "access/table.h"
}

using namespace zdm;

extern "C" int zdm_hot_sync_reads(Oid relid, ZdmSyncArguments arguments,
                                  const char *const **columns) {
    Relation relation = table_open(relid, AccessShareLock);
    SyncProgram *program =
        sync_program_build(relation, InvalidOid, arguments.count, arguments.values);
    program->scoped = true;
    const int count = program->other_count;
    const char **read = static_cast<const char **>(palloc(sizeof(char *) * (count + 1)));
    for (int i = 0; i < count; i++) {
        const AttrNumber attnum = program->others[i].attnum;
        read[i] = pstrdup(NameStr(TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attname));
    }
    sync_program_free(program);
    table_close(relation, NoLock);
    *columns = read;
    return count;
}
