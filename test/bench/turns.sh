#!/bin/bash
# turns.sh - what does the application notice of each share of the time, on a machine that is not the
# same one from minute to minute?
#
# One backfill beside pgbench at a part of what it can do at most here (found first), each of its
# transactions an update and a read of one row by primary key. Every few seconds the backfill has
# another pace: turn by turn each of the shares once, and "off" (paused) once, in random order. Each is
# held against the off of its own turn, a few seconds apart. What goes on after the work (longer rows,
# WAL to be written) is in the off as well; impact.sh compares with before any work.
# In the end the rest at full speed, so that the shares are shares of something.
# Prints medians over the turns; latencies count from when a transaction was due. Nothing depends on the
# result.
#
#     ROWS=8000000 TURNS=15 SECONDS_EACH=2.5 LOAD=25 PACES="0.05 0.1 0.15 0.2 0.25" bash test/bench/turns.sh

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/table.sh"

rows=${ROWS:-8000000}
turns=${TURNS:-15}
seconds=${SECONDS_EACH:-2.5}
load=${LOAD:-25}
paces=${PACES:-0.05 0.1 0.15 0.2 0.25}
clients=8
warm_up=20
# What the pace before has set going ends in it.
settle=0.5
migration=public.t.amount

create_table() {
    sql "CREATE TABLE t AS
         SELECT $table_columns
           FROM generate_series(1, $rows) AS i"
    index_table
}

rows_done() { sql "SELECT sum(rows_done) FROM zdm.scan WHERE kind = 'backfill'"; }

set_pace() { # PACE
    case $1 in
        off) sql "SELECT zdm.pause('$migration')" ;;
        *) sql "SELECT zdm.configure('$migration', 'pace', '$1'); SELECT zdm.resume('$migration')" ;;
    esac >/dev/null
}

# A line of turn.N: pace, from, to, rows.
run_window() { # TURN PACE
    set_pace "$2"
    sleep "$settle"
    local before=$(rows_done) from=$(now)
    sleep "$seconds"
    local to=$(now)
    echo "$2 $from $to $(($(rows_done) - before))" >>"$work/turn.$1"
}

# Each line of a turn against its off: ratios of p50, p95 and p99, and rows a second.
compare() { # TURN
    local pace from to done off latency
    off=$(awk '$1 == "off" { print $2, $3 }' "$work/turn.$1")
    off=$(load_latency $off)
    while read -r pace from to done; do
        latency=$(load_latency "$from" "$to")
        echo "$off $latency $from $to $done" | awk -v to_file="$work/of.$pace." '{
            print $5 / $1 >>(to_file "p50")
            print $6 / $2 >>(to_file "p95")
            print $7 / $3 >>(to_file "p99")
            print $8 >>(to_file "max")
            print $11 / ($10 - $9) >>(to_file "speed")
        }'
    done <"$work/turn.$1"
}

value() { printf "$3" "$(median <"$work/of.$1.$2")"; } # PACE WHAT FORMAT

setup_work
say "A backfill of $(thousands "$rows") rows in $turns turns of $seconds s each pace"
require_compiler
require_server
build_zdm
start_cluster shared_preload_libraries=zdm autovacuum=off shared_buffers=1GB max_wal_size=8GB checkpoint_timeout=1h
create_application_database
create_table
write_load "$rows"
find_peak "$clients" 10
start_load turns -c "$clients" -j 2 -R "$((peak * load / 100))" -f "$work/load.sql"
sleep "$warm_up"
sql "SET zdm.pace = '0.01'; SELECT zdm.change_type('t', 'amount', 'bigint')" >/dev/null
sql "CALL zdm.wait('$migration', 'backfill', 60)"
for ((turn = 1; turn <= turns; turn++)); do
    for pace in $(shuf -e off $paces); do run_window "$turn" "$pace"; done
done
[ "$(sql "SELECT phase FROM zdm.status")" = backfill ] || die "the backfill has ended before the turns: more ROWS"
before=$(rows_done)
full_from=$(now)
sql "SELECT zdm.configure('$migration', 'pace', 'full'); SELECT zdm.resume('$migration')" >/dev/null
sql "CALL zdm.wait('$migration', 'verify', 600)"
full=$(awk "BEGIN { print ($(rows_done) - $before) / ($(now) - $full_from) }")
stop_load
for ((turn = 1; turn <= turns; turn++)); do compare "$turn"; done

layout='%6s | %6s %6s %6s %8s | %9s %8s\n'
say ""
say "PostgreSQL $server_major, load $load % of $(thousands "$peak") tps, failed: $(load_failures), full speed $(thousands "${full%.*}") rows/s; against off of the same turn"
say ""
printf "$layout" pace "x p50" "x p95" "x p99" "max, ms" "rows/s" "of full"
for pace in off $paces; do
    speed=$(value "$pace" speed %.0f)
    printf "$layout" "$pace" "$(value "$pace" p50 %.2f)" "$(value "$pace" p95 %.2f)" "$(value "$pace" p99 %.2f)" \
        "$(value "$pace" max %.1f)" "$speed" "$(awk "BEGIN { printf \"%.0f %%\", $speed / $full * 100 }")"
done
