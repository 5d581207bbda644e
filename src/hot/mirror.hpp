// What the mirror's triggers (mirror.cpp) know of their two tables, and the statements that they
// run on the other one (mirror_statements.cpp).
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
}

namespace zdm {

enum Statement {
    move_row,      // source: the row of $1.. has the key $k+1.. now
    remove_row,    // source: the row of $1.. may be gone
    put_row,       // source: the row of $1.. as it is
    empty_part,    // source: truncated
    lock_row,      // part: the source's row of $1.., before the part gets one
    replace_row,   // part: a row of $1.. that only the source's INSERT has made gives way
    take_row,      // part: the row of $1.. as it is
    clear_row,     // part: the row of $1.. may be gone
    clear_source,  // part: truncated
    statement_count
};

// What one trigger needs, for the life of the session or until its tables change.
struct Mirror {
    Mirror *next;
    MemoryContext context;
    Oid trigger;
    Oid mine, other;
    Oid other_owner;
    bool stale;   // a table has changed since
    bool usable;  // false: the other table or a column is gone, and writes pass as they are
    bool is_source;
    bool other_rewrites;  // it has triggers of others that may change or suppress what we write
    bool trusts_part;
    char name[NAMEDATALEN];  // the same on both tables
    int key_count, column_count;
    AttrNumber *keys, *columns;  // of the trigger's own table
    char **key_names, **column_names;
    char **operators;  // OPERATOR(schema.=) by key
    SPIPlanPtr plans[statement_count];
    int default_count;  // parameters of replace_row after the key
    Oid default_types[MaxHeapAttributeNumber];
    Datum default_values[MaxHeapAttributeNumber];
};

// The statement's text, with the key as $1 and on. Notes the defaults that it compares with.
void append_statement(StringInfo text, Mirror *mirror, Statement statement);

}  // namespace zdm
