#!/bin/bash
# demo.sh - watch a live table change the type of a column, on a machine with nothing but Debian.
#
# As root on a fresh Debian 12 or 13, or anywhere with the packages installed:
#
#     bash test/demo.sh
#
# It installs what is missing, builds zdm, starts a private server in a temporary folder, and changes
# pgbench_accounts.abalance from integer to bigint while pgbench updates that very column. One or two
# minutes; nothing is left behind but the packages. The exit status says whether all went well.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rate=${RATE:-500} # transactions a second
migration=public.pgbench_accounts.abalance

# ------------------------------------------------------------------------------------------------
# On the screen
# ------------------------------------------------------------------------------------------------

bold='' dim='' green='' red='' plain=''
if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

chapter() { say "" && say "$bold$*$plain"; }
line() { say "  $*"; }
command_line() { say "  $green=>$plain $bold$*$plain"; }

# A line that the next one replaces, where there is a screen.
status_line() {
    if [ -t 1 ]; then
        printf '\r\e[K  %s' "$*"
    else
        line "$*"
    fi
}
end_status_line() { [ ! -t 1 ] || printf '\n'; }

milliseconds_since() { awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.0f", (to - from) * 1000 }'; }

# ------------------------------------------------------------------------------------------------
# The story
# ------------------------------------------------------------------------------------------------

prepare_server() {
    chapter "1. A server of our own"
    require_compiler
    require_server
    line "building zdm for PostgreSQL $server_major (half a minute)"
    build_zdm
    start_cluster shared_buffers=256MB max_wal_size=4GB max_worker_processes=16
    create_application_database
    line "$("$server_config" --version) in $work: one unix socket, no network,"
    line "gone when this ends. From here on everything runs as role app, which is no superuser."
}

fill_tables() {
    chapter "2. Data"
    pgbench -q -i -I dtGvp -s 10 >"$work/fill.log" 2>&1 || {
        cat "$work/fill.log" >&2
        die "pgbench could not fill its tables"
    }
    heap_before=$(sql "SELECT pg_relation_size('pgbench_accounts')")
    rows=$(sql "SELECT count(*) FROM pgbench_accounts")
    line "pgbench_accounts: $(thousands "$rows") rows, $((heap_before / 1024 / 1024)) MB; abalance is $(type_of_balance)"
    fill_chinook
}

# A small shop with foreign keys; the file makes a database of its own, we want a schema.
fill_chinook() {
    local file=$repo/../shared/data/chinook.sql
    has_chinook=no
    [ -f "$file" ] || return 0
    sql "CREATE SCHEMA chinook"
    sed -E '/^(DROP|CREATE) DATABASE |^\\c /d' "$file" |
        PGOPTIONS='-c search_path=chinook' psql -X -q -1 -v ON_ERROR_STOP=1 -f - >"$work/fill.log" 2>&1 || {
        cat "$work/fill.log" >&2
        die "chinook.sql could not be loaded"
    }
    sql "ANALYZE" 2>/dev/null
    has_chinook=yes
    line "chinook: $(sql "SELECT count(*) FROM pg_tables WHERE schemaname = 'chinook'") tables with foreign keys"
}

type_of_balance() {
    sql "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
          WHERE attrelid = 'pgbench_accounts'::regclass AND attname = 'abalance'"
}

start_work() {
    chapter "3. People at work"
    start_load demo -b simple-update -c 4 -j 1 -R "$rate" --max-tries=1
    load_from=$(now)
    line "pgbench: 4 clients, $rate transactions a second. Each updates the abalance of one account,"
    line "reads it, and writes a line to pgbench_history. It goes on until the end."
    sleep 5
    expand_from=$(now)
    read -r p50 _ p99 max < <(load_latency "$load_from" "$expand_from")
    line "for comparison, with nothing beside it: p50 $p50 ms, p99 $p99 ms, max $max ms"
}

status_of() { # COLUMNS
    sql "SELECT $1 FROM zdm.status WHERE name = '$migration' ORDER BY started_at DESC LIMIT 1"
}

check_load() {
    load_runs || {
        cat "$load_prefix.err" >&2
        die "the load has ended by itself"
    }
}

watch_until_ready() {
    local bar phase state percent done speed message last=
    while true; do
        check_load
        IFS='|' read -r phase state percent bar done speed message < <(status_of \
            "phase, state, round(progress * 100), bar, rows_done, round(rows_per_second), message")
        [ "$state" != failed ] || die "$message"
        if [ "$phase" = ready ]; then break; fi
        last="$(printf '%-9s [%s] %3s %%  %11s rows  %9s rows/s' "$phase" "$bar" "$percent" \
            "$(thousands "$done")" "$(thousands "$speed")")"
        status_line "$last"
        sleep 0.5
    done
    status_line "$(printf '%-9s [%s] %3s %%' ready "$bar" 100)"
    end_status_line
}

change_the_type() {
    chapter "4. One call, in any migration file"
    command_line "SELECT zdm.change_type('pgbench_accounts', 'abalance', 'bigint');"
    local ms
    ms=$(timed_ms "SELECT zdm.change_type('pgbench_accounts', 'abalance', 'bigint')")
    line "returned after $ms ms with no lock on the table; a background worker does the rest"
    watch_until_ready
    line "ready: abalance is still $(type_of_balance); its bigint twin is filled, kept in sync and verified"
}

# steer FUNCTION PHASE REMARK
steer() {
    local from
    command_line "SELECT zdm.$1('$migration');"
    from=$(now)
    sql "SELECT zdm.$1('$migration')" >/dev/null
    sql "CALL zdm.wait('$migration', '$2', 120)"
    line "phase $2 after $(milliseconds_since "$from") ms: abalance is $(type_of_balance)$3"
    sleep 3
    check_load
}

switch_back_and_forth() {
    chapter "5. Over, back, and over again"
    steer cutover soak "; the old column is kept in sync, in case"
    steer revert ready " again, with everything written since"
    steer cutover soak ""
    line "a full check of all rows in this session:"
    command_line "SELECT zdm.verify('$migration');"
    discrepancies=$(sql "SELECT zdm.verify('$migration')")
    line "$discrepancies discrepancies"
    steer contract done "; the old column and every trace of zdm are gone"
    load_to=$(now)
    stop_load
    sql "UPDATE pgbench_accounts SET abalance = abalance + 3000000000 WHERE aid = 1"
    sql "UPDATE pgbench_accounts SET abalance = abalance - 3000000000 WHERE aid = 1"
    line "an account that takes 3,000,000,000: yes"
}

# ------------------------------------------------------------------------------------------------
# What an operator wants to know
# ------------------------------------------------------------------------------------------------

verdict=0
# result LABEL VALUE [EXPECTED]
result() {
    local mark=' '
    if [ $# -gt 2 ]; then
        if [ "$2" = "$3" ]; then mark="${green}ok$plain"; else mark="${red}expected $3$plain" verdict=1; fi
    fi
    printf '  %-44s %20s  %s\n' "$1" "$2" "$mark"
}

step_value() { # EXPRESSION over the migration's steps
    sql "SELECT coalesce($1, 0) FROM zdm.step s
           JOIN zdm.migration m ON m.id = s.migration WHERE m.name = '$migration'"
}

report() {
    local failed p50 p99 max books seconds
    chapter "6. What an operator wants to know"
    failed=$(load_failures)
    result "transactions of the load" "$(thousands "$(load_transactions)")"
    result "failed transactions" "$failed" 0
    result "discrepancies" "$discrepancies" 0
    books=$(sql "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)")
    result "sum of all balances = sum of all bookings" "$([ "$books" = t ] && echo yes || echo no)" yes
    result "columns and triggers of zdm left behind" "$(sql "
        SELECT (SELECT count(*) FROM pg_trigger
                 WHERE tgrelid = 'pgbench_accounts'::regclass AND NOT tgisinternal)
             + (SELECT count(*) FROM pg_attribute
                 WHERE attrelid = 'pgbench_accounts'::regclass AND attname ~ '^zdm_')")" 0
    result "longest strong lock held" "$(step_value "round(max(longest_hold_ms)::numeric, 1)") ms"
    result "longest wait for a strong lock" "$(step_value "round(max(longest_wait_ms)::numeric, 1)") ms"
    read -r p50 _ p99 max < <(load_latency "$load_from" "$expand_from")
    result "load before, p50 / p99 / max" "$p50 / $p99 / $max ms"
    read -r p50 _ p99 max < <(load_latency "$expand_from" "$load_to")
    result "load during all this, p50 / p99 / max" "$p50 / $p99 / $max ms"
    seconds=$(step_value "extract(epoch FROM max(s.finished_at - s.started_at) FILTER (WHERE s.kind = 'backfill'))")
    result "backfill, rows per second" "$(thousands "$(awk -v rows="$rows" -v seconds="$seconds" \
        'BEGIN { printf "%.0f", (seconds > 0 ? rows / seconds : 0) }')")"
    result "heap size, after / before" "$(awk -v after="$(sql "SELECT pg_relation_size('pgbench_accounts')")" \
        -v before="$heap_before" 'BEGIN { printf "%.2f", after / before }')"
    if [ "$failed" != 0 ]; then cat "$load_prefix.err" >&2; fi
    say ""
    [ "$verdict" = 0 ] || die "that is not how it should be"
}

setup_work
say "${bold}zdm: change a live column's type; nobody notices.$plain"
prepare_server
fill_tables
start_work
change_the_type
switch_back_and_forth
report
