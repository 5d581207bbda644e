#!/bin/bash
# scale.sh - on which tables does the backfill pay, and does it ever cost more than one UPDATE?
#
# Tables of every combination of ROWS, INDEXES (the primary key and others on random integers) and WIDTHS (bytes a row,
# at least) get a bigint copy of an integer column:
#
#     update   one UPDATE of the whole table
#     zdm      zdm.change_type with zdm.pace = full, its backfill step
#     zdm2     the same with zdm.max_workers = 2
#
# They take turns on fresh copies of the same data; the table shows medians over the rounds. Autovacuum is off, the same
# for both, so that neither is helped by chance. The exit status is 1 where zdm was slower on any shape.
#
#     ROWS="100000 1000000" INDEXES="1 3 10" WIDTHS="60 200 2000" ROUNDS=3 bash test/bench/scale.sh
#     CSV=/tmp/scale.csv    the medians also go there

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

all_rows=${ROWS:-100000 1000000}
all_indexes=${INDEXES:-1 3 10}
all_widths=${WIDTHS:-60 200 2000}
rounds=${ROUNDS:-3}
csv=${CSV:-}

# What tuple header, id, v and the indexed integers leave of a row's width.
padding() { # WIDTH INDEXES
    local left=$(($1 - 24 - 12 - 4 * ($2 - 1) - 4))
    echo $((left > 0 ? left : 0))
}

create_source() { # ROWS INDEXES WIDTH
    local keys='' i
    for ((i = 1; i < $2; i++)); do
        keys+=", (hashint4(i + $i) & 2147483647) AS k$i"
    done
    local pad
    pad=$(padding "$3" "$2")
    [ "$pad" = 0 ] || keys+=", left(repeat(md5(i::text), $((pad / 32 + 1))), $pad) AS pad"
    sql "DROP TABLE IF EXISTS source" 2>/dev/null
    sql "CREATE TABLE source AS SELECT i::bigint AS id, i % 1000 AS v $keys FROM generate_series(1, $1) AS i"
    sql "VACUUM ANALYZE source"
}

create_table() { # INDEXES
    local i
    sql "CREATE TABLE t (LIKE source)"
    sql "INSERT INTO t SELECT * FROM source ORDER BY id"
    sql "ALTER TABLE t ADD PRIMARY KEY (id)"
    for ((i = 1; i < $1; i++)); do
        sql "CREATE INDEX ON t (k$i)"
    done
    sql "VACUUM ANALYZE t"
    sql "CHECKPOINT"
}

drop_table() { # CONTENDER
    if [ "$1" != update ]; then
        sql "SELECT zdm.abort('public.t.v')" >/dev/null
        sql "CALL zdm.wait('public.t.v', 'aborted', 600)"
    fi
    sql "DROP TABLE t"
}

# Prints how many seconds it took.
fill() { # CONTENDER
    if [ "$1" = update ]; then
        sql "ALTER TABLE t ADD COLUMN v_new bigint"
        local from
        from=$(now)
        sql "UPDATE t SET v_new = v"
        awk "BEGIN { print $(now) - $from }"
        return
    fi
    # One transaction, so that the worker knows the pace when it first sees the migration.
    sql "BEGIN" -c "SELECT zdm.change_type('t', 'v', 'bigint')" \
        -c "SELECT zdm.configure('public.t.v', 'zdm.pace', 'full')" \
        -c "SELECT zdm.configure('public.t.v', 'zdm.max_workers', '$([ "$1" = zdm2 ] && echo 2 || echo 1)')" -c "COMMIT" >/dev/null
    sql "CALL zdm.wait('public.t.v', 'ready')"
    sql "SELECT extract(epoch FROM s.finished_at - s.started_at)
           FROM zdm.step s JOIN zdm.migration m ON m.id = s.migration
          WHERE m.name = 'public.t.v' AND m.phase = 'ready' AND s.kind = 'backfill'"
}

sizes() { sql "SELECT pg_relation_size('t'), pg_indexes_size('t'), pg_current_wal_insert_lsn()"; }

note() { echo "$3" >>"$work/$1.$2"; } # WHAT CONTENDER VALUE
value() { median <"$work/$1.$2"; }    # WHAT CONTENDER

measure() { # CONTENDER ROWS INDEXES
    local heap index wal heap_after index_after wal_after
    create_table "$3"
    IFS='|' read -r heap index wal < <(sizes)
    note seconds "$1" "$(fill "$1")"
    IFS='|' read -r heap_after index_after wal_after < <(sizes)
    note heap "$1" "$(awk "BEGIN { print $heap_after / $heap }")"
    note index "$1" "$(awk "BEGIN { print $index_after / $index }")"
    note wal "$1" "$(sql "SELECT pg_wal_lsn_diff('$wal_after', '$wal') / $2")"
    drop_table "$1"
}

layout='%10s %7s %5s | %8s %8s %6s %6s | %6s %6s | %6s %6s | %6s\n'
slower=0

report_shape() { # ROWS INDEXES WIDTH
    local speed
    speed=$(awk "BEGIN { printf \"%.2f\", $(value seconds update) / $(value seconds zdm) }")
    if awk "BEGIN { exit !($speed < 1) }"; then slower=$((slower + 1)); fi
    printf "$layout" "$(thousands "$1")" "$2" "$3" \
        "$(awk "BEGIN { printf \"%.2f\", $(value seconds update) }")" \
        "$(awk "BEGIN { printf \"%.2f\", $(value seconds zdm) }")" "$speed" \
        "$(awk "BEGIN { printf \"%.2f\", $(value seconds update) / $(value seconds zdm2) }")" \
        "$(awk "BEGIN { printf \"%.2f\", $(value heap update) }")" "$(awk "BEGIN { printf \"%.2f\", $(value heap zdm) }")" \
        "$(awk "BEGIN { printf \"%.2f\", $(value index update) }")" "$(awk "BEGIN { printf \"%.2f\", $(value index zdm) }")" \
        "$(awk "BEGIN { printf \"%.2f\", $(value wal zdm) / $(value wal update) }")"
    [ -z "$csv" ] ||
        echo "$1,$2,$3,$(value seconds update),$(value seconds zdm),$(value heap update),$(value heap zdm),$(value index update),$(value index zdm),$(value wal update),$(value wal zdm)" >>"$csv"
}

setup_work
require_compiler
require_server
build_zdm
start_cluster autovacuum=off shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1h \
    max_worker_processes=16
create_application_database
[ -z "$csv" ] ||
    echo "rows,indexes,width,update_seconds,zdm_seconds,update_heap,zdm_heap,update_index,zdm_index,update_wal,zdm_wal" >"$csv"
say "PostgreSQL $server_major; medians of $rounds rounds. speed: times as fast as one UPDATE, two: with two workers; heap"
say "and index: size after / size before; WAL: ratio to one UPDATE"
say ""
printf '%24s | %31s | %13s | %13s | %6s\n' "" "seconds" heap index WAL
printf "$layout" rows indexes width update zdm speed two update zdm update zdm ratio
for rows in $all_rows; do
    for indexes in $all_indexes; do
        for width in $all_widths; do
            create_source "$rows" "$indexes" "$width"
            rm -f "$work"/{seconds,heap,index,wal}.{update,zdm,zdm2}
            for ((round = 1; round <= rounds; round++)); do
                for contender in update zdm zdm2; do
                    measure "$contender" "$rows" "$indexes"
                done
            done
            report_shape "$rows" "$indexes" "$width"
        done
    done
done
say ""
[ "$slower" = 0 ] || die "slower than one UPDATE on $slower of these"
say "never slower than one UPDATE"
