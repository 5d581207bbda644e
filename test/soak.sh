#!/bin/bash
# soak.sh - random migrations of every kind, under random load, with random kills, for as long as you like.
#
#     bash test/soak.sh MINUTES [SEED]
#
# Two strands of migrations run side by side: one on accounts and their movements (keys, partitions, a
# view), one on persons. An application writes all the time; another hand kills the worker or the whole
# server, holds old snapshots and row locks, vacuums. After every phase zdm.verify must find nothing, and
# what the application keeps true must be true; in the end nothing of zdm may be left on a table. Ends
# with a summary, and with status 1 at the first thing that is wrong. The same seed makes the same
# choices; their timing is the machine's.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

minutes=${1:?how many minutes?}
seed=${2:-$RANDOM}

# ------------------------------------------------------------------------------------------------
# What every strand needs
# ------------------------------------------------------------------------------------------------

over() { [ -e "$work/over" ] || [ "$(date +%s)" -ge "$end" ]; }
chance() { [ $((RANDOM % 100)) -lt "$1" ]; }
# Into $picked, not onto the output: a subshell would draw from numbers of its own, and not from the seed's.
pick() {
    local -a choices=("$@")
    picked=${choices[$((RANDOM % $#))]}
}
count() { echo "$1" >>"$work/counts"; }
nap() { sleep "$((RANDOM % $1)).$((RANDOM % 10))"; }

# The first thing that is wrong ends all strands.
wrong() {
    {
        say "WRONG: $*"
        psql -X -x -c "SELECT * FROM zdm.status WHERE phase NOT IN ('done', 'aborted')" 2>&1 || true
        psql -X -c "SELECT name, ordinal, kind, object, state, error FROM zdm.step WHERE state NOT IN ('done', 'pending', 'undone')" 2>&1 || true
        grep -E 'ERROR|PANIC|TRAP|signal' "$work/server.log" | tail -n 20
    } >>"$work/wrong" 2>&1
    touch "$work/over"
    exit 1
}

# A value, asked for again while the server is down: every call may be repeated. "!" = it was refused.
ask() {
    local out status said=$work/ask.$BASHPID
    while true; do
        status=0
        out=$(psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1" 2>"$said") || status=$?
        if [ $status = 0 ]; then
            echo "$out"
            return
        fi
        if [ $status != 2 ] && ! grep -qE 'terminating connection|server closed|starting up|in recovery|shutting down' "$said"; then
            [ "${2:-}" = may_fail ] || wrong "$1: $(cat "$said")"
            echo "!"
            return
        fi
        sleep 0.2
    done
}

check() {
    local found
    found=$(ask "SELECT violations()")
    [ -z "$found" ] || wrong "after $1: $found"
}

# ------------------------------------------------------------------------------------------------
# One migration, from start to end
# ------------------------------------------------------------------------------------------------

reach() {
    local name=$1 phase=$2
    ask "CALL zdm.wait('$name', '$phase', 300)" >/dev/null
}

verify() {
    local name=$1 found
    found=$(ask "SELECT zdm.verify('$name')")
    [ "$found" = 0 ] || wrong "$name: verify finds $found in $(ask "SELECT phase FROM zdm.status WHERE name = '$name' ORDER BY started_at DESC LIMIT 1")"
    check "$name"
}

fiddle() {
    local name=$1
    if chance 30; then
        ask "SELECT zdm.pause('$name')" may_fail >/dev/null
        nap 2
        ask "SELECT zdm.resume('$name')" may_fail >/dev/null
    fi
    pick full 0.1 0.5 auto
    ! chance 30 || ask "SELECT zdm.configure('$name', 'zdm.pace', '$picked')" may_fail >/dev/null
    pick 2ms 10ms 40ms
    ! chance 20 || ask "SELECT zdm.configure('$name', 'zdm.batch_time', '$picked')" may_fail >/dev/null
}

# drive KIND CALL: the call returns the migration's name. Leaves "done" or "aborted" in $ending.
drive() {
    local kind=$1 name
    ending=aborted
    pick full 0.2 auto
    name=$(ask "SELECT set_config('zdm.pace', '$picked', false); SELECT $2" | tail -n 1)
    fiddle "$name"
    if chance 15; then
        nap 2
        # Too late where it is done already.
        if [ "$(ask "SELECT zdm.abort('$name')" may_fail)" != "!" ]; then
            reach "$name" aborted
            check "abort of $name"
            count "$kind aborted"
            return
        fi
    fi
    if [[ $kind =~ ^(change_type|change_key|rename_column|replace_columns|split_table|drop_column)$ ]]; then
        reach "$name" ready
        [ "$kind" = drop_column ] || verify "$name"
        ask "SELECT zdm.cutover('$name')" >/dev/null
        reach "$name" soak
        while chance 40; do
            [ "$kind" = drop_column ] || verify "$name"
            ask "SELECT zdm.revert('$name')" >/dev/null
            reach "$name" ready
            [ "$kind" = drop_column ] || verify "$name"
            ask "SELECT zdm.cutover('$name')" >/dev/null
            reach "$name" soak
            count "$kind reverted"
        done
        nap 2
        [ "$kind" = drop_column ] || verify "$name"
        ask "SELECT zdm.contract('$name')" >/dev/null
    fi
    reach "$name" done
    check "$name"
    ending=done
    count "$kind done"
}

type_of() { ask "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '$1'::regclass AND attname = '$2'"; }
other_type() {
    if [ "$(type_of "$1" "$2")" = bigint ]; then pick integer numeric; else picked=bigint; fi
}

# ------------------------------------------------------------------------------------------------
# The strands
# ------------------------------------------------------------------------------------------------

serial=0
fresh() {
    serial=$((serial + 1))
    fresh=$1_$serial
}

accounts() {
    RANDOM=$((seed + 1))
    local column
    while ! over; do
        pick balance amount key note note index check column
        case $picked in
            balance)
                other_type account balance
                drive change_type "zdm.change_type('account', 'balance', '$picked')"
                ;;
            amount)
                other_type movement amount
                drive change_type "zdm.change_type('movement', 'amount', '$picked')"
                ;;
            key)
                if [ "$(type_of account id)" = bigint ]; then picked=integer; else picked=bigint; fi
                drive change_key "zdm.change_type('account', 'id', '$picked')"
                ;;
            note)
                column=$(ask "SELECT some_column('account', 'note')")
                fresh note_a
                drive rename_column "zdm.rename_column('account', '$column', '$fresh')"
                ;;
            index)
                fresh soak_index_a
                column=$fresh
                pick 'movement (amount)' 'account (balance, owner)' 'account (code) WHERE balance > 10'
                drive create_index "zdm.create_index('CREATE INDEX $column ON $picked')"
                [ $ending = aborted ] || drive drop_index "zdm.drop_index('$column')"
                [ -z "$(ask "SELECT to_regclass('$column')")" ] || ask "DROP INDEX $column" >/dev/null
                ;;
            check)
                fresh soak_check_a
                column=$fresh
                drive add_constraint "zdm.add_constraint('account', '$column', 'CHECK (balance < 1000000000)')"
                ask "SET lock_timeout = '2s'; ALTER TABLE account DROP CONSTRAINT IF EXISTS $column" may_fail >/dev/null
                ;;
            column)
                fresh extra_a
                column=$fresh
                pick true false
                drive add_column "zdm.add_column('account', '$column', 'numeric', value => 'balance * 2', not_null => $picked, column_default => '1')"
                [ $ending = aborted ] || drive drop_column "zdm.drop_column('account', '$column')"
                [ $ending = done ] || ask "ALTER TABLE account DROP COLUMN IF EXISTS $column" >/dev/null
                ;;
        esac
    done
}

# After a split the application's table is put together again by plain DDL, while nobody writes.
join_again() {
    ask "BEGIN; LOCK person, profile; ALTER TABLE person ADD COLUMN bio text NOT NULL DEFAULT 'k0', ADD COLUMN karma integer NOT NULL DEFAULT 0 CHECK (karma >= 0);
         UPDATE person p SET bio = f.bio, karma = f.karma FROM profile f WHERE f.id = p.id;
         DROP TABLE profile; CREATE INDEX person_karma ON person (karma); COMMIT" >/dev/null
}

persons() {
    RANDOM=$((seed + 2))
    local column
    while ! over; do
        pick karma names names split split nick unique column
        case $picked in
            karma)
                if [ "$(type_of person karma)" = bigint ]; then picked=integer; else picked=bigint; fi
                drive change_type "zdm.change_type('person', 'karma', '$picked')"
                ;;
            names)
                if [ "$(ask "SELECT count(*) FROM pg_attribute WHERE attrelid = 'person'::regclass AND attname = 'full_name'")" = 1 ]; then
                    drive replace_columns "zdm.replace_columns('person', '{full_name}', '{first text,last text}', ARRAY['split_part(full_name, '' '', 1)', 'split_part(full_name, '' '', 2)'], ARRAY['first || '' '' || last'])"
                else
                    drive replace_columns "zdm.replace_columns('person', '{first,last}', '{full_name text}', ARRAY['first || '' '' || last'], ARRAY['split_part(full_name, '' '', 1)', 'split_part(full_name, '' '', 2)'])"
                fi
                ;;
            split)
                [ "$(type_of person karma)" = integer ] || continue
                drive split_table "zdm.split_table('person', 'profile', '{bio,karma}')"
                [ $ending = aborted ] || join_again
                ;;
            nick)
                drive set_not_null "zdm.set_not_null('person', 'nick', '''nobody''')"
                ask "ALTER TABLE person ALTER COLUMN nick DROP NOT NULL" >/dev/null
                ask "UPDATE person SET nick = NULL WHERE id % 10 = 3" >/dev/null
                ;;
            unique)
                fresh soak_unique_p
                column=$fresh
                drive add_constraint "zdm.add_constraint('person', '$column', 'UNIQUE (id, name)')"
                ask "ALTER TABLE person DROP CONSTRAINT IF EXISTS $column" >/dev/null
                ;;
            column)
                fresh extra_p
                column=$fresh
                drive add_column "zdm.add_column('person', '$column', 'text', value => 'upper(name)')"
                [ $ending = aborted ] || drive drop_column "zdm.drop_column('person', '$column')"
                [ $ending = done ] || ask "ALTER TABLE person DROP COLUMN IF EXISTS $column" >/dev/null
                ;;
        esac
    done
}

# Everything that a database does to those who live in it.
another_hand() {
    RANDOM=$((seed + 3))
    local pid
    while ! over; do
        nap 12
        pick worker worker server snapshot snapshot locks vacuum ddl ddl
        case $picked in
            worker)
                pid=$(ask "SELECT zdm.worker_pid()")
                [ -z "$pid" ] || { kill -9 "$pid" 2>/dev/null && count "worker killed"; } || true
                ;;
            server)
                as_owner "$server_bin/pg_ctl" -D "$data" -l "$work/server.log" -m immediate -w -t 120 restart >/dev/null 2>&1 || wrong "the server does not start again"
                count "server killed"
                ;;
            snapshot)
                ask "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM rich; SELECT pg_sleep($((RANDOM % 5))); COMMIT" >/dev/null
                count "old snapshot"
                ;;
            locks)
                ask "BEGIN; SELECT count(*) FROM (SELECT FROM account WHERE id % 500 = 0 FOR UPDATE) a; SELECT pg_sleep($((RANDOM % 3))); ROLLBACK" may_fail >/dev/null
                count "row locks held"
                ;;
            vacuum)
                pick account movement person
                ask "VACUUM (ANALYZE) $picked" >/dev/null
                count "vacuum"
                ;;
            ddl)
                pick 'ALTER TABLE person ADD COLUMN beside integer DEFAULT 7; ALTER TABLE person DROP COLUMN beside' \
                    'CREATE INDEX beside ON account (padding); DROP INDEX beside' \
                    'ALTER TABLE account SET (fillfactor = 80); ALTER TABLE account SET (fillfactor = 90)' \
                    'CREATE VIEW beside AS SELECT id, owner FROM account; DROP VIEW beside'
                # It is refused where the lock is not to be had; but then nothing of it is done.
                if [ "$(ask "SET lock_timeout = '500ms'; BEGIN; $picked; COMMIT" may_fail)" = "!" ]; then
                    count "DDL beside refused"
                else
                    count "DDL beside"
                fi
                ;;
        esac
        # What pg_cron would do.
        ask "SELECT zdm.wake()" >/dev/null
    done
}

# The sum of what pgbench says under that title.
total() {
    local title=$1
    shift
    cat "$@" | awk -v title="$title" 'index($0, title ":") == 1 || index($0, title " processed:") == 1 { sub(/^[^:]*: */, ""); sum += $1 } END { print sum + 0 }'
}

application() {
    cat >"$work/load.sql" <<'LOAD'
\set account random(1, 20000)
\set amount random(-50, 50)
\set person random(1, 20000)
\set number random(1, 1000000000)
\set what random(1, 100)
\if :what <= 50
BEGIN;
SELECT move(:account, :amount);
SELECT move(:account + 1, 0 - (:amount));
END;
\elif :what <= 70
SELECT praise(:person, abs(:amount));
\elif :what <= 80
SELECT remark(:account, 'r' || :number);
\elif :what <= 88
SELECT come_and_go(:person);
\elif :what <= 95
SELECT open_and_close(:number);
\else
BEGIN;
SELECT move(:account, :amount);
SELECT praise(:person, 77);
ROLLBACK;
\endif
LOAD
    local run=0
    while ! over; do
        run=$((run + 1))
        (cd "$work" && pgbench -n -f load.sql -c 4 -R "$rate" -T 20 --max-tries=1) >"$work/load.$run.out" 2>"$work/load.$run.err" || true
        # A session that a kill has ended is no failure; a statement that the server has refused is.
        if grep -qE 'ERROR:' "$work/load.$run.err"; then
            wrong "a statement of the application failed: $(grep -m 3 'ERROR:' "$work/load.$run.err")"
        fi
        # Deadlocks and the like pgbench counts only.
        [ "$(total 'number of failed transactions' "$work/load.$run.out")" = 0 ] ||
            wrong "transactions of the application failed: $(grep 'failed transactions' "$work/load.$run.out")"
        until psql -X -q -c 'SELECT 1' >/dev/null 2>&1 || over; do sleep 0.2; done
    done
}

summary() {
    say "" && say "soak.sh $minutes $seed: $1"
    sort "$work/counts" 2>/dev/null | uniq -c | sed 's/^/  /'
    say "  $(total 'number of transactions actually' "$work"/load.*.out) transactions of the application," \
        "$(($(total 'number of failed transactions' "$work"/load.*.out) + $(cat "$work"/load.*.err | grep -c 'ERROR:' || true))) failed"
    sql "SELECT format('  longest lock held %s ms, longest wait for a lock %s ms', round(max(longest_hold_ms)::numeric, 1), round(max(longest_wait_ms)::numeric, 1)) FROM zdm.step" 2>/dev/null || true
    sql "SELECT format('  held %s ms at most: %s of %s', round(max(s.longest_hold_ms)::numeric, 1), s.kind, m.kind)
           FROM zdm.step s JOIN zdm.migration m ON m.id = s.migration GROUP BY s.kind, m.kind ORDER BY max(s.longest_hold_ms) DESC LIMIT 5" 2>/dev/null || true
}

rate=${RATE:-200}
setup_work
require_compiler
require_server
say "soak.sh $minutes $seed: building"
build_zdm
preload=$([ $((seed % 2)) = 1 ] && echo zdm || true)
start_cluster shared_buffers=128MB max_wal_size=1GB max_worker_processes=16 restart_after_crash=on "shared_preload_libraries=$preload" \
    fsync=off deadlock_timeout=1s log_line_prefix="%m [%p] %b "
sql "CREATE EXTENSION zdm"
psql -X -q -v ON_ERROR_STOP=1 -f "$repo/test/soak/schema.sql"
end=$(($(date +%s) + minutes * 60))
say "soak.sh $minutes $seed: started$([ -z "$preload" ] || echo ', with preload')"

strands=()
for strand in application accounts persons another_hand; do
    "$strand" &
    strands+=("$!")
    background+=("$!")
done
for strand in "${strands[@]}"; do wait "$strand" || touch "$work/over"; done
background=()

last_look() {
    local found
    found=$(ask "SELECT remains()")
    [ -z "$found" ] || wrong "left behind: $found"
    found=$(grep -E 'PANIC|TRAP|signal (4|6|7|8|11)([^0-9]|$)|deadlock detected' "$work/server.log" | head -n 3 || true)
    [ -z "$found" ] || wrong "the server's log: $found"
    # Too late to steer, our own DDL's time-out, and autovacuum stepping aside are as they should be.
    found=$(grep 'ERROR:' "$work/server.log" |
        grep -vE 'ERROR:  (zdm: migration .* cannot be (aborted|paused|resumed|configured): it is (done|aborted)|canceling autovacuum task|canceling statement due to lock timeout)' |
        head -n 3 || true)
    [ -z "$found" ] || wrong "the server's log: $found"
    # Every migration is at its end, so nobody has anything to do.
    for _ in $(seq 100); do
        found=$(ask "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'zdm worker'")
        [ "$found" != 0 ] || return 0
        sleep 0.3
    done
    wrong "$found workers are left"
}
[ -e "$work/wrong" ] || (last_look) || true
if [ -e "$work/wrong" ]; then
    cat "$work/wrong"
    [ -z "${KEEP:-}" ] || cp "$work/server.log" "$KEEP"
    summary "something is wrong"
    exit 1
fi
summary "all is well"
