# table.sh - the table t of the benchmarks, and the application's load on it. To be sourced after lib.sh.

# Of generate_series(...) AS i.
table_columns="i::bigint AS id, (i::bigint * 7919 % 100003)::integer AS customer_id,
               (i % 1000)::integer AS amount, 0::integer AS visits, md5(i::text) AS note,
               timestamptz '2024-01-01' + i * interval '1 second' AS created_at"

# Ready to be worked on, with nothing left to be done behind it.
index_table() {
    sql "ALTER TABLE t ADD PRIMARY KEY (id)"
    sql "CREATE INDEX ON t (customer_id)"
    sql "CREATE INDEX ON t (created_at)"
    sql "VACUUM ANALYZE t"
    sql "CHECKPOINT"
}

# load.sql: an update and a read of one row by primary key, which is one of 1 to ROWS.
write_load() { # ROWS
    cat >"$work/load.sql" <<SQL
\set written random(1, $1)
\set read random(1, $1)
BEGIN;
UPDATE t SET visits = visits + 1 WHERE id = :written;
SELECT amount, note FROM t WHERE id = :read;
COMMIT;
SQL
}

# Sets peak: as many transactions a second as the clients get when they never pause.
find_peak() { # CLIENTS SECONDS
    peak=$( (cd "$work" && "$server_bin/pgbench" -n -c "$1" -j 2 -T "$2" -f "$work/load.sql") 2>/dev/null |
        sed -n 's/^tps = \([0-9]*\).*/\1/p')
    [ -n "$peak" ] && [ "$peak" -gt 0 ] || die "pgbench found no peak"
}
