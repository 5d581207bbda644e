#!/bin/bash
# trigger.sh - what does the sync trigger cost a write?
#
# A bulk INSERT, and an UPDATE of a column that has nothing to do with the migration, on five
# tables that differ only in how a second, bigint copy of an integer column is kept:
#
#     none        not at all: the price of the write itself
#     generated   a stored generated column, the cheapest that the server offers (one way only)
#     least       not at all, but the server's own suppress_redundant_updates_trigger is there: what a
#                 row trigger costs an UPDATE whatever it does (the row is locked first, and logged)
#     plpgsql     a two-way sync trigger as pgroll and its like write it
#     zdm         zdm.change_type, waiting in phase ready
#
# The contenders take turns, on fresh tables each round; the table shows medians, and what each adds
# to "none" per row. fsync is off: what is asked for is processor time. Nothing depends on the result.
#
#     ROWS=500000 ROUNDS=5 bash test/bench/trigger.sh

source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/table.sh"

rows=${ROWS:-500000}
rounds=${ROUNDS:-5}
contenders=(none generated least plpgsql zdm)

create_source() {
    sql "CREATE TABLE source AS
         SELECT $table_columns
           FROM generate_series(1, $rows) AS i"
    sql "CREATE FUNCTION keep_in_sync() RETURNS trigger LANGUAGE plpgsql AS \$\$
         BEGIN
             IF TG_OP = 'INSERT' THEN
                 IF NEW.amount_new IS NULL THEN
                     NEW.amount_new := NEW.amount;
                 ELSE
                     NEW.amount := NEW.amount_new;
                 END IF;
             ELSIF NEW.amount IS DISTINCT FROM OLD.amount THEN
                 NEW.amount_new := NEW.amount;
             ELSIF NEW.amount_new IS DISTINCT FROM OLD.amount_new THEN
                 NEW.amount := NEW.amount_new;
             END IF;
             RETURN NEW;
         END \$\$"
    sql "VACUUM ANALYZE source"
}

create_table() { # CONTENDER
    sql "CREATE TABLE t (LIKE source); ALTER TABLE t ADD PRIMARY KEY (id)"
    case $1 in
        none) ;;
        generated) sql "ALTER TABLE t ADD COLUMN amount_new bigint GENERATED ALWAYS AS (amount) STORED" ;;
        least)
            sql "CREATE TRIGGER least BEFORE UPDATE ON t
                 FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            ;;
        plpgsql)
            sql "ALTER TABLE t ADD COLUMN amount_new bigint"
            sql "CREATE TRIGGER keep_in_sync BEFORE INSERT OR UPDATE ON t
                 FOR EACH ROW EXECUTE FUNCTION keep_in_sync()"
            ;;
        zdm)
            sql "SELECT zdm.change_type('t', 'amount', 'bigint')" >/dev/null
            sql "CALL zdm.wait('public.t.amount', 'ready', 60)"
            ;;
    esac
}

drop_table() { # CONTENDER
    if [ "$1" = zdm ]; then
        sql "SELECT zdm.abort('public.t.amount')" >/dev/null
        sql "CALL zdm.wait('public.t.amount', 'aborted', 60)"
    fi
    sql "DROP TABLE t"
}

measure() { # CONTENDER
    create_table "$1"
    sql "CHECKPOINT"
    timed_ms "INSERT INTO t (id, customer_id, amount, visits, note, created_at)
              SELECT id, customer_id, amount, visits, note, created_at FROM source" >>"$work/insert.$1"
    sql "VACUUM ANALYZE t"
    sql "CHECKPOINT"
    timed_ms "UPDATE t SET visits = visits + 1" >>"$work/update.$1"
    drop_table "$1"
}

# One line of the table: milliseconds, and microseconds a row above "none".
report_line() { # CONTENDER
    local kind line
    line=$(printf '%-10s' "$1")
    for kind in insert update; do
        line+=$(awk -v own="$(median <"$work/$kind.$1")" -v none="$(median <"$work/$kind.none")" \
            -v plpgsql="$(median <"$work/$kind.plpgsql")" -v rows="$rows" 'BEGIN {
                added = (own - none) / rows * 1000
                share = (plpgsql > none) ? sprintf("%.2f", (own - none) / (plpgsql - none)) : "-"
                printf " | %9.0f  %+8.2f  %9s", own, added, share
            }')
    done
    say "$line"
}

setup_work
say "The cost of a sync trigger: $(thousands "$rows") rows a statement, $rounds rounds"
require_compiler
require_server
build_zdm
start_cluster fsync=off autovacuum=off shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1h \
    max_worker_processes=16 max_parallel_workers_per_gather=0
create_application_database
create_source
for ((round = 1; round <= rounds; round++)); do
    say "round $round of $rounds"
    for contender in "${contenders[@]}"; do measure "$contender"; done
done

say ""
say "PostgreSQL $server_major; medians. Added: microseconds a row above none. Share: of what plpgsql adds."
say ""
say "           |      INSERT of all rows          |   UPDATE of another column"
say "           |   time ms   added us     share   |   time ms  added us      share"
say "-----------+----------------------------------+---------------------------------"
for contender in "${contenders[@]}"; do report_line "$contender"; done
