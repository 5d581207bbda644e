// Whose code the expressions of a sync program are, and so with whose rights they are evaluated.
//
// Hot path: no exceptions, no destructors, longjmp may pass.
#pragma once

extern "C" {
#include "postgres.h"

#include "utils/rel.h"
}

namespace zdm {

// The table whose owner has given them. A trigger on a partition is a clone of the one on its root,
// and the partition may be another's, a superuser's even: it is the root's owner who has said what
// is evaluated. Whoever has TRIGGER on a table may make a trigger with expressions of his own, but
// only its owner can have it ENABLE ALWAYS: InvalidOid where it is not that. trigger InvalidOid: of
// the worker's, whose expressions are of the table's own migration.
Oid giver_of_expressions(Relation relation, Oid trigger);

// InvalidOid: of nobody.
Oid owner_of_table(Oid table);

}  // namespace zdm
