#!/bin/bash
# cutover.sh - how long does everybody wait at cutover when much hangs on the column?
#
# A table of a million rows whose primary key is widened, with DEPENDENTS objects that come along at cutover:
# indexes of all sorts, CHECK constraints, and foreign keys of as many other tables, which are widened too. Cutover
# and revert, ROUNDS times; printed is what zdm.step recorded: the longest that the locks on all tables were held. The
# aim is 50 ms with 50 dependents. Then a table of LEAVES partitions, with an index, a key and a generated column over
# the column that is changed. In a database of OTHERS tables besides: no look under a lock may read a whole catalog.
#
#     ROWS=1000000 DEPENDENTS=50 LEAVES=60 OTHERS=0 ROUNDS=5 bash test/bench/cutover.sh

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

rows=${ROWS:-1000000}
dependents=${DEPENDENTS:-50}
leaves=${LEAVES:-60}
others=${OTHERS:-0}
rounds=${ROUNDS:-5}

create_tables() {
    psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<SQL
CREATE TABLE parent (id integer PRIMARY KEY, a integer, b text);
INSERT INTO parent SELECT g, g % 1000, md5(g::text) FROM generate_series(1, $rows) AS g;
-- A third indexes, a third constraints, a third keys of other tables.
SELECT format('CREATE INDEX parent_%s ON parent (id, %s)%s', g, CASE g % 2 WHEN 0 THEN 'a' ELSE 'b' END,
              CASE g % 3 WHEN 0 THEN ' WHERE id > 100' ELSE '' END)
  FROM generate_series(1, $dependents / 3) AS g \\gexec
SELECT format('ALTER TABLE parent ADD CONSTRAINT parent_check_%s CHECK (id <> -%s)', g, g)
  FROM generate_series(1, $dependents / 3) AS g \\gexec
SELECT format('CREATE TABLE child_%s (id serial PRIMARY KEY, parent_id integer REFERENCES parent ON DELETE CASCADE)', g)
  FROM generate_series(1, $dependents - 2 * ($dependents / 3)) AS g \\gexec
SELECT format('INSERT INTO child_%s (parent_id) SELECT g FROM generate_series(1, 1000) AS g', g)
  FROM generate_series(1, $dependents - 2 * ($dependents / 3)) AS g \\gexec

CREATE TABLE whole (part integer, n integer, doubled integer GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (part, n))
    PARTITION BY HASH (part);
SELECT format('CREATE TABLE leaf_%s PARTITION OF whole FOR VALUES WITH (MODULUS $leaves, REMAINDER %s)', g, g)
  FROM generate_series(0, $leaves - 1) AS g \\gexec
CREATE INDEX whole_n ON whole (n, doubled);
INSERT INTO whole SELECT g, g % 1000 FROM generate_series(1, $rows / 10) AS g;
SQL
    # A transaction for some hundred at a time: each holds the locks on what it has created.
    local from
    for ((from = 1; from <= others; from += 200)); do
        seq "$from" $((from + 199)) | sed 's/.*/CREATE TABLE other_& (id integer PRIMARY KEY, a text);/' |
            psql -X -q -1 -v ON_ERROR_STOP=1
    done
    sql "VACUUM ANALYZE"
}

# What the last attempt held, in ms. It is recorded in a transaction after the one that held the locks, which is the one
# that whoever waits for the phase sees.
hold() { # MIGRATION
    local swap="kind = 'swap' AND migration = (SELECT id FROM zdm.migration WHERE name = '$1')"
    until [ "$(sql "SELECT longest_hold_ms > 0 FROM zdm.step WHERE $swap")" = t ]; do sleep 0.1; done
    sql "SELECT round(longest_hold_ms::numeric, 1) FROM zdm.step WHERE $swap"
    sql "UPDATE zdm.step SET longest_hold_ms = 0 WHERE $swap"
}

measure() { # MIGRATION TABLE COLUMN
    sql "SET zdm.pace = 'full'; SELECT zdm.change_type('$2', '$3', 'bigint', name => '$1')" >/dev/null
    sql "CALL zdm.wait('$1', 'ready', 3600)"
    say "$2: $(sql "SELECT string_agg(format('%s %s', n, carrier), ', ')
        FROM (SELECT carrier, count(*) AS n FROM zdm.carried
               WHERE migration = (SELECT id FROM zdm.migration WHERE name = '$1') GROUP BY 1 ORDER BY 2 DESC) AS c")"
    local round to_soak=() back=()
    for ((round = 1; round <= rounds; round++)); do
        sql "SELECT zdm.cutover('$1')" >/dev/null
        sql "CALL zdm.wait('$1', 'soak', 600)"
        to_soak+=("$(hold "$1")")
        sql "SELECT zdm.revert('$1')" >/dev/null
        sql "CALL zdm.wait('$1', 'ready', 600)"
        back+=("$(hold "$1")")
    done
    say "    cutover held the locks for ${to_soak[*]} ms"
    say "    revert held them for      ${back[*]} ms"
}

main() {
    setup_work
    require_compiler
    require_server
    build_zdm
    start_cluster autovacuum=off max_locks_per_transaction=256
    sql "CREATE EXTENSION zdm"
    create_tables
    say "$rows rows, $dependents dependents, $leaves leaves, $others other tables"
    measure keys parent id
    measure leaves whole n
}

main
