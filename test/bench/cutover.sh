#!/bin/bash
# cutover.sh - how long does everybody wait at cutover when much hangs on the column?
#
# A table of a million rows whose primary key is widened, with DEPENDENTS objects that come along at cutover:
# indexes of all sorts, CHECK constraints, and foreign keys of as many other tables, which are widened too. Cutover
# and revert, ROUNDS times; the table shows what zdm.step recorded: the longest that the locks on all tables were
# held. The aim is 50 ms with 50 dependents.
#
#     ROWS=1000000 DEPENDENTS=50 ROUNDS=5 bash test/bench/cutover.sh

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

rows=${ROWS:-1000000}
dependents=${DEPENDENTS:-50}
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
VACUUM ANALYZE;
SQL
}

hold() { # what the last attempt held, in ms
    sql "SELECT round(longest_hold_ms::numeric, 1) FROM zdm.step WHERE kind = 'swap'"
    sql "UPDATE zdm.step SET longest_hold_ms = 0 WHERE kind = 'swap'"
}

main() {
    setup_work
    require_compiler
    require_server
    build_zdm
    start_cluster autovacuum=off max_locks_per_transaction=256
    sql "CREATE EXTENSION zdm"
    create_tables
    sql "SET zdm.pace = 'full'; SELECT zdm.change_type('parent', 'id', 'bigint', name => 'm')" >/dev/null
    sql "CALL zdm.wait('m', 'ready', 3600)"
    say "$rows rows, $dependents dependents: $(sql "SELECT string_agg(format('%s %s', n, carrier), ', ')
        FROM (SELECT carrier, count(*) AS n FROM zdm.carried GROUP BY 1 ORDER BY 2 DESC) AS c"), $(sql "SELECT count(*) FROM zdm.migrated_table") tables"
    local round to_soak=() back=()
    for ((round = 1; round <= rounds; round++)); do
        sql "SELECT zdm.cutover('m')" >/dev/null
        sql "CALL zdm.wait('m', 'soak', 600)"
        to_soak+=("$(hold)")
        sql "SELECT zdm.revert('m')" >/dev/null
        sql "CALL zdm.wait('m', 'ready', 600)"
        back+=("$(hold)")
    done
    say "cutover held the locks for ${to_soak[*]} ms"
    say "revert held them for      ${back[*]} ms"
}

main
