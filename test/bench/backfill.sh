#!/bin/bash
# backfill.sh - what does it cost to fill a new column of a big table?
#
# A million rows of 8 columns with 3 indexes; the contenders write a bigint copy of an integer column:
#
#     update   one UPDATE of the whole table: everything is locked until it ends
#     batches  a plpgsql loop over the primary key, 1,000 rows a transaction, no pause
#     zdm      zdm.change_type with zdm.pace = full, its backfill step
#
# They take turns on fresh copies of the same data, alone and with pgbench at 1,500 transactions a
# second beside them (each updates one row by primary key and reads another). The table shows medians
# over the rounds; latencies count from when a transaction was due. Measured "alone": time, WAL, growth,
# HOT share; zdm's WAL includes its verify pass. Autovacuum is off, the same for all, so that no
# contender is helped by chance. Nothing depends on the result.
#
#     ROWS=1000000 ROUNDS=3 RATE=1500 bash test/bench/backfill.sh

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/table.sh"

rows=${ROWS:-1000000}
rounds=${ROUNDS:-3}
rate=${RATE:-1500}
contenders=(update batches zdm)

create_source() {
    sql "CREATE TABLE source AS
         SELECT i::bigint AS id, (i::bigint * 7919 % 100003)::integer AS customer_id,
                (i % 1000)::integer AS amount, (i % 7)::smallint AS status, 0::integer AS visits,
                md5(i::text) AS note, timestamptz '2024-01-01' + i * interval '1 second' AS created_at,
                (i % 100)::numeric(10, 2) AS price
           FROM generate_series(1, $rows) AS i"
    sql "CREATE PROCEDURE fill_in_batches() LANGUAGE plpgsql AS \$\$
         DECLARE
             done bigint := 0;
             upto bigint;
         BEGIN
             LOOP
                 SELECT max(id) INTO upto
                   FROM (SELECT id FROM t WHERE id > done ORDER BY id LIMIT 1000) AS batch;
                 EXIT WHEN upto IS NULL;
                 UPDATE t SET amount_new = amount WHERE id > done AND id <= upto;
                 COMMIT;
                 done := upto;
             END LOOP;
         END \$\$"
    sql "VACUUM ANALYZE source"
}

create_table() {
    sql "CREATE TABLE t (LIKE source)"
    sql "INSERT INTO t SELECT * FROM source ORDER BY id"
    index_table
}

drop_table() { # CONTENDER
    if [ "$1" = zdm ]; then
        sql "SELECT zdm.abort('public.t.amount')" >/dev/null
        sql "CALL zdm.wait('public.t.amount', 'aborted', 60)"
    fi
    sql "DROP TABLE t"
}

# Fills the column. Sets from and to: when that began and ended, in seconds since 1970.
fill() { # CONTENDER
    case $1 in
        update | batches)
            sql "ALTER TABLE t ADD COLUMN amount_new bigint"
            from=$(now)
            if [ "$1" = update ]; then sql "UPDATE t SET amount_new = amount"; else sql "CALL fill_in_batches()"; fi
            to=$(now)
            ;;
        zdm)
            # One transaction, so that the worker knows the pace when it first sees the migration.
            sql "BEGIN" -c "SELECT zdm.change_type('t', 'amount', 'bigint')" \
                -c "SELECT zdm.configure('public.t.amount', 'zdm.pace', 'full')" -c "COMMIT" >/dev/null
            sql "CALL zdm.wait('public.t.amount', 'ready')"
            local times
            times=$(sql "SELECT extract(epoch FROM s.started_at), extract(epoch FROM s.finished_at)
                           FROM zdm.step s JOIN zdm.migration m ON m.id = s.migration
                          WHERE m.name = 'public.t.amount' AND m.phase = 'ready' AND s.kind = 'backfill'")
            from=${times%|*} to=${times#*|}
            ;;
    esac
}

# The share of the rows whose new version stayed in its page, with no new index entries.
hot_share() { # CONTENDER
    case $1 in
        update | batches)
            sql "SELECT round(n_tup_hot_upd::numeric / nullif(n_tup_upd, 0), 2)
                   FROM pg_stat_user_tables WHERE relname = 't'"
            ;;
        zdm)
            sql "SELECT round(sum(c.rows_hot)::numeric / nullif(sum(c.rows_hot + c.rows_moved), 0), 2)
                   FROM zdm.scan c JOIN zdm.migration m ON m.id = c.migration
                  WHERE m.name = 'public.t.amount' AND m.phase = 'ready' AND c.kind = 'backfill'"
            ;;
    esac
}

sizes() { sql "SELECT pg_relation_size('t'), pg_indexes_size('t'), pg_current_wal_insert_lsn()"; }

note() { echo "$3" >>"$work/$1.$2"; } # WHAT CONTENDER VALUE

measure_alone() { # CONTENDER
    local heap index wal heap_after index_after wal_after
    create_table
    IFS='|' read -r heap index wal < <(sizes)
    fill "$1"
    IFS='|' read -r heap_after index_after wal_after < <(sizes)
    note seconds "$1" "$(awk "BEGIN { print $to - $from }")"
    note heap "$1" "$(awk "BEGIN { print $heap_after / $heap }")"
    note index "$1" "$(awk "BEGIN { print $index_after / $index }")"
    note wal "$1" "$(sql "SELECT pg_wal_lsn_diff('$wal_after', '$wal') / $rows")"
    note hot "$1" "$(hot_share "$1")"
    drop_table "$1"
}

note_latency() { # CONTENDER FROM TO
    local p50 p99 max
    read -r p50 _ p99 max < <(load_latency "$2" "$3")
    note p50 "$1" "$p50"
    note p99 "$1" "$p99"
    note max "$1" "$max"
}

measure_beside_load() { # CONTENDER, or "nothing" for the load alone
    create_table
    start_load "$1" -c 4 -j 1 -R "$rate" -f "$work/load.sql"
    sleep 2
    if [ "$1" = nothing ]; then
        from=$(now)
        sleep 5
        to=$(now)
    else
        fill "$1"
    fi
    # What had to wait for the contender ends after it, and is to be in the log.
    sleep 2
    stop_load
    note_latency "$1" "$from" "$to"
    note failures "$1" "$(load_failures)"
    [ "$1" = nothing ] || note load_seconds "$1" "$(awk "BEGIN { print $to - $from }")"
    drop_table "$1"
    rm -f "$load_prefix".*
}

value() { median <"$work/$1.$2"; } # WHAT CONTENDER

cell() { awk "BEGIN { printf \"%.$1f\", $2 }"; } # DECIMALS EXPRESSION

layout='%-18s | %6s %6s %8s %6s %6s %6s %5s | %6s %8s %8s %8s %6s\n'

report_line() { # CONTENDER LABEL
    local own=$1
    printf "$layout" "$2" \
        "$(cell 1 "$(value seconds "$own")")" "$(cell 2 "$(value seconds update) / $(value seconds "$own")")" \
        "$(cell 0 "$(value wal "$own")")" "$(cell 2 "$(value wal "$own") / $(value wal update)")" \
        "$(cell 2 "$(value heap "$own")")" "$(cell 2 "$(value index "$own")")" "$(cell 2 "$(value hot "$own")")" \
        "$(cell 1 "$(value load_seconds "$own")")" \
        "$(value p50 "$own")" "$(value p99 "$own")" "$(value max "$own")" "$(value failures "$own")"
}

report() {
    say ""
    say "PostgreSQL $server_major, $(thousands "$rows") rows, 8 columns, 3 indexes; medians of $rounds rounds"
    say ""
    printf '%-18s | %-49s | %s\n' "" alone "beside $rate tps, latency in ms"
    printf "$layout" "" "time s" speed "WAL/row" ratio heap index HOT "time s" p50 p99 max failed
    printf "$layout" "" "" "" "" "" "" "" "" "" "" "" "" "" | tr ' |' '-+'
    report_line update "one UPDATE"
    report_line batches "1,000 keys a batch"
    report_line zdm "zdm, pace = full"
    printf "$layout" "the load alone" "" "" "" "" "" "" "" "" \
        "$(value p50 nothing)" "$(value p99 nothing)" "$(value max nothing)" "$(value failures nothing)"
    say ""
    say "speed: times as fast as one UPDATE; WAL/row in bytes, and its ratio to one UPDATE; heap and"
    say "index: size after / size before; HOT: share of the rows that stayed in their page"
}

setup_work
say "Filling a new column: $(thousands "$rows") rows, $rounds rounds, alone and beside $(thousands "$rate") tps"
require_compiler
require_server
build_zdm
start_cluster autovacuum=off shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1h \
    max_worker_processes=16
create_application_database
create_source
write_load "$rows"
for ((round = 1; round <= rounds; round++)); do
    for contender in "${contenders[@]}"; do
        say "round $round of $rounds: $contender"
        measure_alone "$contender"
        measure_beside_load "$contender"
    done
    measure_beside_load nothing
done
report
