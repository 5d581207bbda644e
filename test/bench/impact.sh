#!/bin/bash
# impact.sh - what does the application notice of a change to its table?
#
# pgbench at 25, 50 and 75 % of what it can do at most here (found first), each update and read of one
# row by primary key. Beside it, one after the other, on fresh copies of the same table:
#
#     nothing   the load alone: how much its latency varies by itself
#     auto      zdm.change_type with zdm.pace = auto; what it has not done in its time is done without the load, which
#               is there again for the cutover
#     full      the same with zdm.pace = full
#     0.1, 0.3  the same with a fixed share of the time; any other may be given
#     alter     ALTER TABLE ... ALTER COLUMN ... TYPE bigint
#     update    one UPDATE of the whole table into a new column
#     batches   1,000 keys a transaction into a new column
#
# Latencies count from when a transaction was due, so that one that could not even start counts too.
# What a contender costs is its p99 against that of the same load on the same table just before it
# began: a shared machine is not the same one a minute later. Nor is it so from second to second, and
# what the p99 of a minute is, a few bad ones decide: the typical p99 is the median over stretches of 3 s.
# Prints a table of medians over the rounds, and the trade-off of each load: p99 against rows a second,
# from the slowest to the fastest; writes a plot of latency over time of the last round, impact.svg in OUT.
# Nothing depends on the result.
#
#     ROWS=1000000 ROUNDS=3 SECONDS_EACH=60 SECONDS_BEFORE=30 LOADS="25 50 75" OUT=. bash test/bench/impact.sh

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/table.sh"

rows=${ROWS:-1000000}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-60}
seconds_before=${SECONDS_BEFORE:-30}
loads=${LOADS:-25 50 75}
contenders=${CONTENDERS:-nothing 0.1 auto 0.3 full alter update batches}
out=${OUT:-.}
clients=8
# Until then the load writes whole pages, the first time after the checkpoint, which costs it more than most contenders.
warm_up=10
migration=public.t.amount

is_zdm() { [[ $1 =~ ^(auto|full|0\.[0-9]+)$ ]]; } # CONTENDER

create_source() {
    sql "CREATE TABLE source AS
         SELECT $table_columns
           FROM generate_series(1, $rows) AS i"
    sql "CREATE PROCEDURE fill_in_batches() LANGUAGE plpgsql AS \$\$
         BEGIN
             FOR lowest IN 1 .. $rows BY 1000 LOOP
                 UPDATE t SET amount_new = amount WHERE id >= lowest AND id < lowest + 1000;
                 COMMIT;
             END LOOP;
         END \$\$"
    sql "VACUUM ANALYZE source"
}

create_table() {
    sync # what earlier contenders have written is their cost
    sql "CREATE TABLE t (LIKE source)"
    sql "INSERT INTO t SELECT * FROM source ORDER BY id"
    index_table
}

drop_table() { # CONTENDER
    if is_zdm "$1"; then
        sql "SELECT zdm.contract('$migration', force => true)" >/dev/null
        sql "CALL zdm.wait('$migration', 'done', 120)"
    fi
    sql "DROP TABLE t"
}

# A session that is there before the work begins: what it costs to start one is not the contender's.
open_session() {
    coproc session { exec psql -X -q -A -t 2>/dev/null; }
    session_pid=$session_PID
    background+=("$session_pid")
    ask "SELECT 1" >/dev/null
}

# False: the last statement failed.
ask() { # STATEMENT...
    local line
    printf '%s;\n' "$@" >&"${session[1]}"
    echo '\echo failed: :ERROR' >&"${session[1]}"
    while read -r line <&"${session[0]}"; do
        case $line in
            'failed: false') return 0 ;;
            'failed: true') return 1 ;;
        esac
    done
    die "the session has gone"
}

close_session() {
    echo '\q' >&"${session[1]}"
    wait "$session_pid" || true
}

# Sets from and to: when the work began and ended, at the latest after the seconds that it has. How
# many rows it did a second goes to the notes.
run_contender() { # LOAD CONTENDER
    local load=$1 contender=$2 done_rows=$rows
    case $contender in
        alter | update | batches) ask "SET statement_timeout = '${seconds}s'" ;;
        nothing) ;;
        *) ask "SET zdm.pace = '$contender'" ;;
    esac
    case $contender in
        update | batches) ask "ALTER TABLE t ADD COLUMN amount_new bigint" ;;
    esac
    from=$(now)
    to=
    case $contender in
        nothing) sleep "$seconds" ;;
        alter) ask "ALTER TABLE t ALTER COLUMN amount TYPE bigint" || done_rows=0 ;;
        update) ask "UPDATE t SET amount_new = amount" || done_rows=0 ;;
        batches) ask "CALL fill_in_batches()" ||
            done_rows=$(sql "SELECT count(*) FROM t WHERE amount_new IS NOT NULL") ;;
        *)
            ask "SELECT zdm.change_type('t', 'amount', 'bigint')" || die "the migration was refused"
            # One session that waits: a new one for every look would be a load of its own.
            ask "CALL zdm.wait('$migration', 'verify', $seconds)" || true
            to=$(now)
            done_rows=$(sql "SELECT coalesce(sum(c.rows_done), 0) FROM zdm.scan c JOIN zdm.migration m ON m.id = c.migration
                              WHERE c.kind = 'backfill' AND m.phase <> 'done'")
            ;;
    esac
    to=${to:-$(now)}
    [ "$contender" = nothing ] || note speed "$load" "$contender" "$(awk "BEGIN { print $done_rows / ($to - $from) }")"
}

begin_load() { # LOAD NAME
    start_load "$1.$2" -c "$clients" -j 2 -R "$((peak * $1 / 100))" -f "$work/load.sql"
    sleep "$warm_up"
}

# The worst of each tenth of a second, from one second before.
note_plot() { # LOAD CONTENDER BEGAN
    cat "$load_prefix".[0-9]* | awk -v began="$3" '
        $3 != "failed" && $3 != "skipped" {
            at = int(($5 + $6 / 1e6 - began + 1) * 10)
            if (at >= 0 && $3 / 1000 > worst[at]) worst[at] = $3 / 1000
        }
        END { for (at in worst) print at / 10, worst[at] }' | sort -n >>"$work/plot.$1.$2"
}

# Cutover, beside a load of its own. Adds to stall and failures.
cut_over() { # LOAD CONTENDER BEGAN
    sql "SELECT zdm.configure('$migration', 'pace', 'full')" >/dev/null
    sql "CALL zdm.wait('$migration', 'ready', 600)"
    sql "SELECT zdm.configure('$migration', 'pace', '$2')" >/dev/null
    begin_load "$1" "$2.cutover"
    local from=$(now)
    sql "SELECT zdm.cutover('$migration')" >/dev/null
    sql "CALL zdm.wait('$migration', 'soak', 600)"
    ended=$(now)
    sleep 1
    stop_load
    stall=$(printf '%s\n' "$stall" "$(load_latency "$from" "$ended" | cut -d ' ' -f 4)" | sort -n | tail -1)
    failures=$((failures + $(load_failures)))
    note_plot "$1" "$2" "$3"
    rm -f "$load_prefix".*
}

note() { echo "$4" >>"$work/$1.$2.$3"; } # WHAT LOAD CONTENDER VALUE

measure() { # LOAD CONTENDER
    local p50 p95 p99 stall failures
    create_table
    begin_load "$1" "$2"
    open_session
    local before=$(now)
    sleep "$seconds_before"
    local began=$(now)
    run_contender "$1" "$2"
    close_session
    ended=$to
    sleep 2
    stop_load
    read -r p50 p95 p99 stall < <(load_latency "$from" "$to")
    local alone=$(load_latency "$before" "$from" | cut -d ' ' -f 3)
    note ratio "$1" "$2" "$(awk "BEGIN { print $p99 / $alone }")"
    note typical "$1" "$2" "$(awk "BEGIN { print $(load_typical_p99 "$from" "$to") / $(load_typical_p99 "$before" "$from") }")"
    note p50 "$1" "$2" "$p50"
    note p95 "$1" "$2" "$p95"
    note p99 "$1" "$2" "$p99"
    failures=$(load_failures)
    : >"$work/plot.$1.$2"
    note_plot "$1" "$2" "$began"
    rm -f "$load_prefix".*
    ! is_zdm "$2" || cut_over "$1" "$2" "$began"
    note max "$1" "$2" "$stall"
    note failures "$1" "$2" "$failures"
    awk "BEGIN { print $from - $began + 1, $to - $began + 1, $ended - $began + 1 }" >"$work/phases.$1.$2"
    drop_table "$2"
}

# One panel a load and contender: milliseconds on a logarithmic scale over seconds, the work shaded.
plot() {
    local load contender panel=0 count=0
    for load in $loads; do for contender in $contenders; do count=$((count + 1)); done; done
    {
        printf '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="%d" font-family="sans-serif" font-size="11">\n' $((count * 130 + 10))
        for load in $loads; do
            for contender in $contenders; do
                awk -v top=$((panel * 130 + 10)) -v title="$contender, load $load %" '
                    function x(s) { return 60 + s / span * 820 }
                    function y(ms,  l) { l = log(ms < 0.1 ? 0.1 : ms) / log(10); return top + 100 - (l + 1) / 6 * 90 }
                    FNR == NR { from = $1; to = $2; end = $3; next }
                    { t[++n] = $1; v[n] = $2 }
                    END {
                        span = n ? t[n] : 1; if (span < end) span = end; if (span <= 0) span = 1
                        printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"90\" fill=\"#dde8f8\"/>\n", x(from), top + 10, x(to) - x(from)
                        printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"90\" fill=\"#e3f3df\"/>\n", x(to), top + 10, x(end) - x(to)
                        for (l = 0; l <= 4; l++) {
                            printf "<line x1=\"60\" x2=\"880\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ccc\"/>\n", y(10 ^ l), y(10 ^ l)
                            printf "<text x=\"55\" y=\"%.1f\" text-anchor=\"end\">%d ms</text>\n", y(10 ^ l) + 4, 10 ^ l
                        }
                        printf "<polyline fill=\"none\" stroke=\"#c33\" points=\""
                        for (i = 1; i <= n; i++) printf "%.1f,%.1f ", x(t[i]), y(v[i])
                        printf "\"/>\n<text x=\"60\" y=\"%d\">%s (%.0f s; blue: at work; green: up to the end of cutover, its load begins shortly before)</text>\n", top + 6, title, span
                    }' "$work/phases.$load.$contender" "$work/plot.$load.$contender"
                panel=$((panel + 1))
            done
        done
        echo '</svg>'
    } >"$out/impact.svg"
}

value() { median <"$work/$1.$2.$3"; } # WHAT LOAD CONTENDER

# A bar of a dot for each fifth of what the slowest has, the load alone.
trade_off() { # LOAD
    local contender
    for contender in $contenders; do
        if [ "$contender" = nothing ]; then
            echo "0 $(value p99 "$1" nothing) -"
        elif is_zdm "$contender"; then
            echo "$(value speed "$1" "$contender") $(value p99 "$1" "$contender") $contender"
        fi
    done | sort -g | awk -v load="$1" '
        {
            if (NR == 1) unit = ($2 > 0 ? $2 : 1) / 5
            bar = ""
            for (i = 0; i < $2 / unit && i < 60; i++) bar = bar "."
            printf "%5s | %9d rows/s | %8.2f ms | %-5s %s\n", load " %", $1, $2, $3, bar
        }'
}

report() {
    local load contender layout='%5s | %-8s | %8s %8s %8s %9s %6s | %6s %9s | %9s\n'
    say ""
    say "PostgreSQL $server_major, $(thousands "$rows") rows, peak $(thousands "$peak") tps, medians of $rounds rounds, latency in ms"
    say ""
    printf "$layout" "load" "beside" p50 p95 p99 max failed "x p99" "x typical" "rows/s"
    for load in $loads; do
        for contender in $contenders; do
            local speed=-
            [ ! -s "$work/speed.$load.$contender" ] || speed=$(value speed "$load" "$contender" | cut -d . -f 1)
            printf "$layout" "$load %" "$contender" "$(value p50 "$load" "$contender")" "$(value p95 "$load" "$contender")" \
                "$(value p99 "$load" "$contender")" "$(value max "$load" "$contender")" \
                "$(value failures "$load" "$contender")" "$(printf %.2f "$(value ratio "$load" "$contender")")" \
                "$(printf %.2f "$(value typical "$load" "$contender")")" "$speed"
        done
    done
    say ""
    say "The trade-off: p99 against rows a second"
    for load in $loads; do
        say ""
        trade_off "$load"
    done
    say ""
    say "x p99: against the same load just before; x typical: the same of the typical p99; max: up to the end of cutover;"
    say "rows/s: of the backfill, or of the whole statement, 0 where it was not done within $seconds s. The plot of the last"
    say "round: $out/impact.svg"
}

for contender in $contenders; do
    [[ $contender =~ ^(nothing|alter|update|batches)$ ]] || is_zdm "$contender" || die "there is no contender $contender"
done
setup_work
say "Impact on $clients clients: $(thousands "$rows") rows, $rounds rounds, at most $seconds s each"
require_compiler
require_server
build_zdm
start_cluster shared_preload_libraries=zdm autovacuum=off shared_buffers=512MB max_wal_size=8GB checkpoint_timeout=1h max_worker_processes=16
create_application_database
create_source
write_load "$rows"
create_table
find_peak "$clients" "$((seconds < 10 ? seconds : 10))"
sql "DROP TABLE t"
say "peak: $(thousands "$peak") transactions a second"
for ((round = 1; round <= rounds; round++)); do
    for load in $loads; do
        for contender in $contenders; do
            say "round $round of $rounds, load $load %: $contender"
            measure "$load" "$contender"
        done
    done
done
report
plot
