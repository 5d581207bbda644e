// See expression_owner.hpp. Hot path: no exceptions, no destructors, longjmp may pass.
#include "hot/expression_owner.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"
}

namespace zdm {

namespace {

struct Origin {
    Oid parent;  // InvalidOid: it is no clone
    Oid table;
    bool always;
};

Origin look_up(Relation triggers, Oid trigger) {
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
                ObjectIdGetDatum(trigger));
    SysScanDesc scan = systable_beginscan(triggers, TriggerOidIndexId, true, nullptr, 1, &key);
    Origin origin = {};
    HeapTuple tuple = systable_getnext(scan);
    if (HeapTupleIsValid(tuple)) {
        auto *form = reinterpret_cast<Form_pg_trigger>(GETSTRUCT(tuple));
        origin = {form->tgparentid, form->tgrelid, form->tgenabled == TRIGGER_FIRES_ALWAYS};
    }
    systable_endscan(scan);
    return origin;
}

}  // namespace

Oid giver_of_expressions(Relation relation, Oid trigger) {
    if (!OidIsValid(trigger))
        return relation->rd_rel->relispartition
                   ? llast_oid(get_partition_ancestors(RelationGetRelid(relation)))
                   : RelationGetRelid(relation);
    Relation triggers = table_open(TriggerRelationId, AccessShareLock);
    Origin origin = look_up(triggers, trigger);
    while (OidIsValid(origin.parent)) origin = look_up(triggers, origin.parent);
    table_close(triggers, AccessShareLock);
    return origin.always ? origin.table : InvalidOid;
}

Oid owner_of_table(Oid table) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple)) return InvalidOid;
    const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

}  // namespace zdm
