#!/bin/bash
# bloat.sh - how much does a table grow when a column of it is filled in place, and how much would have to be?
#
# Tables of several shapes, each in a situation that makes it hard to use the room there is, get a bigint copy of an
# integer column by zdm.change_type with zdm.pace = full, and by one UPDATE:
#
#     plain    100 bytes a row, three indexes
#     tiny     one integer a row: a page's line pointers are as scarce as its bytes
#     wide     2 kB a row: three or four of them fill a page
#     toasted  10 kB a row, out of line
#     room     fillfactor 70: nothing would have to grow
#     dead     three rows of ten deleted, and not vacuumed
#     many     ten indexes
#     hot      eight clients that update ten rows of it all the time
#     wait     a snapshot older than the migration for the first seconds, zdm.wait_for_horizon = on
#     move     such a snapshot to the end, zdm.wait_for_horizon = off: no old version can go
#
# The least there can be in place: all rows written anew without a gap, each with the second line pointer that its
# index entries go through from then on, and no less than the table had before; with every old version as well for
# "move". Indexes against what they were before; TOAST must not change. Autovacuum is off: what keeps it small is the
# migration's own work. The exit status is 1 where zdm's heap is more than 5 % above the least, or its indexes (but for
# "move", where each row has new entries) have grown by more than 2 %.
#
#     ROWS=300000 SHAPES="plain hot" bash test/bench/bloat.sh

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

rows=${ROWS:-300000}
shapes=${SHAPES:-plain tiny wide toasted room dead many hot wait move}
layout='%8s %9s | %9s %8s %8s | %8s %8s\n'
too_large=0
reader=

# Of 32 bytes each, which TOAST cannot compress.
random_text() { echo "(SELECT string_agg(md5(i::text || n), '') FROM generate_series(1, $1) AS n)"; } # COUNT

# Sets count, columns (behind id, v and visits), keys, options, deleted.
describe() { # SHAPE
    count=$rows columns=", left(md5(i::text), 20) AS pad" keys=2 options='' deleted=false
    case $1 in
        tiny) columns='' keys=0 ;;
        wide) columns=", $(random_text 58) AS pad" count=$((rows / 5)) ;;
        toasted) columns=", $(random_text 320) AS pad" count=$((rows / 10)) ;;
        room) options='WITH (fillfactor = 70)' ;;
        dead) deleted='id % 10 < 3' ;;
        many) keys=9 ;;
        plain | hot | wait | move) ;;
        *) die "there is no shape $1" ;;
    esac
}

create_table() { # SHAPE
    local key indexed=''
    for ((key = 1; key <= keys; key++)); do
        indexed+=", (hashint4(i + $key) & 2147483647) AS k$key"
    done
    if [ "$1" = tiny ]; then
        sql "CREATE TABLE t AS SELECT i AS v FROM generate_series(1, $count) AS i"
    else
        sql "CREATE TABLE t $options AS SELECT i::bigint AS id, i AS v, 0 AS visits $indexed $columns FROM generate_series(1, $count) AS i"
        sql "ALTER TABLE t ADD PRIMARY KEY (id)"
    fi
    for ((key = 1; key <= keys; key++)); do
        sql "CREATE INDEX ON t (k$key)"
    done
    sql "VACUUM ANALYZE t"
    [ "$deleted" = false ] || sql "DELETE FROM t WHERE $deleted"
    sql "CHECKPOINT"
}

heap_bytes() { sql "SELECT pg_relation_size('$1')"; } # TABLE

toast_bytes() { # TABLE
    sql "SELECT CASE reltoastrelid WHEN 0 THEN 0 ELSE pg_relation_size(reltoastrelid) END FROM pg_class WHERE oid = '$1'::regclass"
}

hold_snapshot() { # SECONDS
    psql -X -q -A -t -c "SET application_name = 'reader'" -c "BEGIN ISOLATION LEVEL REPEATABLE READ" \
        -c "SELECT count(*) FROM pg_class" -c "SELECT pg_sleep($1)" >/dev/null 2>&1 &
    reader=$!
    background+=("$reader")
    local seen=
    while [ "$seen" != t ]; do
        kill -0 "$reader" 2>/dev/null || die "the reader has gone"
        seen=$(sql "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'reader' AND query LIKE 'SELECT pg_sleep%')")
    done
}

release_snapshot() {
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reader'" >/dev/null
    wait "$reader" || true
    background=()
}

fill() { # SHAPE CONTENDER
    case $1 in
        hot) start_load "$2" -c 8 -j 1 -f "$work/hot.sql" ;;
        wait) hold_snapshot 5 ;;
        move) hold_snapshot 86400 ;;
    esac
    if [ "$2" = update ]; then
        sql "ALTER TABLE t ADD COLUMN v_new bigint"
        sql "UPDATE t SET v_new = v"
    else
        sql "SET zdm.pace = full" -c "SET zdm.wait_for_horizon = $([ "$1" = move ] && echo off || echo on)" \
            -c "SELECT zdm.change_type('t', 'v', 'bigint')" >/dev/null
        sql "CALL zdm.wait('public.t.v', 'verify', 3600)"
    fi
    case $1 in
        hot)
            load_runs || die "the load has gone"
            stop_load
            [ "$(load_failures)" = 0 ] || die "$(load_failures) transactions failed"
            ;;
        wait | move) release_snapshot ;;
    esac
}

ratio() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }

# Sets heap_before, heap, least (bytes) and index (a ratio).
measure() { # SHAPE CONTENDER
    create_table "$1"
    heap_before=$(heap_bytes t)
    local index_before toast_before
    toast_before=$(toast_bytes t)
    index_before=$(sql "SELECT pg_indexes_size('t')")
    fill "$1" "$2"
    heap=$(heap_bytes t)
    # What is out of line stays where it is.
    [ "$2" = update ] || [ "$(toast_bytes t)" = "$toast_before" ] || die "TOAST has grown"
    index=-
    [ "$index_before" = 0 ] || index=$(ratio "$(sql "SELECT pg_indexes_size('t')")" "$index_before")
    sql "CREATE TABLE least AS SELECT * FROM t"
    least=$(($(heap_bytes least) + 4 * $(sql "SELECT count(*) FROM least")))
    [ "$least" -ge "$heap_before" ] || least=$heap_before
    [ "$1" != move ] || least=$((least + heap_before))
    sql "DROP TABLE least"
    if [ "$2" = zdm ]; then
        sql "SELECT zdm.abort('public.t.v')" >/dev/null
        sql "CALL zdm.wait('public.t.v', 'aborted', 600)"
    fi
    sql "DROP TABLE t"
}

report() { # SHAPE
    local heap_before heap least index
    describe "$1"
    measure "$1" update
    local update_heap update_index=$index
    update_heap=$(ratio "$heap" "$least")
    measure "$1" zdm
    if awk "BEGIN { exit !($heap > 1.05 * $least) }" ||
        { [ "$1" != move ] && [ "$index" != - ] && awk "BEGIN { exit !($index > 1.02) }"; }; then
        too_large=$((too_large + 1))
    fi
    printf "$layout" "$1" "$(thousands "$count")" "$(ratio "$least" "$heap_before")" "$update_heap" "$(ratio "$heap" "$least")" \
        "$update_index" "$index"
}

setup_work
require_compiler
require_server
build_zdm
start_cluster autovacuum=off shared_buffers=512MB max_wal_size=8GB checkpoint_timeout=1h
create_application_database
printf '%s\n' '\set id random(1, 10)' 'UPDATE t SET visits = visits + 1 WHERE id = :id;' >"$work/hot.sql"
say "PostgreSQL $server_major. least: the least the heap can have, against what it had before; heap: against"
say "that least; index: against what it had before"
say ""
printf '%18s | %9s %17s | %17s\n' "" "" heap index
printf "$layout" shape rows least update zdm update zdm
for shape in $shapes; do
    report "$shape"
done
say ""
[ "$too_large" = 0 ] || die "larger than need be in $too_large of these"
say "never more than 5 % above the least, indexes no more than 2 %"
