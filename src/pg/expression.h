/*
 * expression.h - mapping expressions as the server's own parser sees them. For .c files and src/hot
 * only (sees postgres.h); what C++ may call is in bridge.h.
 */
#pragma once

#include "postgres.h"

#include "nodes/nodes.h"
#include "utils/rel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A mapped column: what $k, or its name in a user's text, stands for. attnum 0 = not created yet.
 */
typedef struct ZdmMappedColumn {
    const char *name;
    AttrNumber attnum;
    Oid type;
    int32 typmod;
    Oid collation;
} ZdmMappedColumn;

/* The parse tree of exactly one value. 42601. */
extern Node *zdm_expression_raw(const char *text);

/*
 * Parses one scalar expression over the relation's columns and coerces it to a column type.
 * Raises 42601, 42703, 42804, 0A000 as the server does for a generated column (which allows what we
 * allow: no subquery, aggregate, window function, SRF, generated column), 42P17 for volatile.
 * by_name: mapped columns are found by name (a user's text); else by $k (canonical text).
 * as_parameters: mapped columns become Params ($k, to deparse canonically); else Vars (to execute).
 * Names resolve through the current search_path: the caller pins it for canonical text.
 * explicit_cast: coerce as an explicit cast does, not as an assignment does.
 */
extern Node *zdm_expression_parse(Relation relation, const char *text, int column_count,
                                  const ZdmMappedColumn *columns, bool by_name, bool as_parameters,
                                  Oid target_type, int32 target_typmod, Oid target_collation,
                                  bool explicit_cast);

/* By what it becomes when functions are inlined. */
extern bool zdm_expression_is_mutable(Relation relation, Node *expression);

/* True where evaluation raises no error for any input: column copies, casts that are total. */
extern bool zdm_expression_is_total(Node *expression);

#ifdef __cplusplus
}
#endif
