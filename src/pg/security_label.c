/*
 * security_label.c - a column's label, set as the server keeps it.
 */
#include "pg/guard.h"

#include "access/xact.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "commands/seclabel.h"

ErrorData *zdm_column_set_label(uint32_t relation, int column, const char *provider,
                                const char *label) {
    GUARD_BEGIN();
    ObjectAddress object;

    ObjectAddressSubSet(object, RelationRelationId, relation, column);
    SetSecurityLabel(&object, provider, label);
    CommandCounterIncrement();
    GUARD_END();
}
