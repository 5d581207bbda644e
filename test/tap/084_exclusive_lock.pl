# Others want the table for themselves: LOCK TABLE, ALTER TABLE. Backfill and verify let go of it after each box, so they
# get it within a moment, and so do all those who queue behind them. Whoever has it is waited for, without queueing and by
# name; also a prepared transaction, which has it still after the worker was killed and the power was gone.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use Time::HiRes qw(time);
use Test::More;

start_server("max_prepared_transactions = 4\nshared_buffers = 128MB");
value(q{
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 200000) g});
value('VACUUM ANALYZE t');

# No write may wait for two seconds, whatever happens.
sub writers
{
    local $ENV{PGOPTIONS} = '-c statement_timeout=2s';
    return start_writers('beside', "\\set id random(1, 200000)\nUPDATE t SET v = v + 1 WHERE id = :id;\n", '-c', '4', '-R', '100');
}
my $written = 0;

# How long the longest of some attempts has waited, at work all the while.
sub longest_wait
{
    my ($kind, @statements) = @_;
    my ($longest, $meanwhile) = (0, 0);
    for my $statement (@statements)
    {
        my $began = time;
        value($statement);
        $longest = time - $began if time - $began > $longest;
        $meanwhile++ if value("SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = '$kind' AND NOT done)") eq 't';
    }
    cmp_ok($meanwhile, '>', 0, "$kind was under way, $meanwhile of " . @statements . ' times');
    return $longest;
}
my @others = map { ('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; COMMIT', "ALTER TABLE t ADD COLUMN extra_$_ integer", "ALTER TABLE t DROP COLUMN extra_$_") } 1 .. 3;

# --- They come while it works, at full speed, with one worker and with three.
for my $workers (1, 3)
{
    my $writers = writers();
    value("SET zdm.max_wal_rate = '8MB'; SET zdm.max_workers = $workers; SET zdm.pace = 'full'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')");
    until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'backfill' AND next_block > first_block AND NOT done)}, 'the backfill');
    cmp_ok(longest_wait('backfill', @others), '<', 1, "workers: $workers. Who wants the table in backfill has it within a box");
    value(q{SELECT zdm.configure('m', 'max_wal_rate', '0')});
    value(q{CALL zdm.wait('m', 'ready', 60)});
    $written += end_writers($writers);
    is(value(q{SELECT zdm.verify('m')}), '0', "workers: $workers. No row differs");
    value(q{SELECT zdm.abort('m')});
    value(q{CALL zdm.wait('m', 'aborted', 30)});
}
is(value('SELECT sum(v) - sum(id % 7) FROM t'), $written, 'no write is lost');

# --- And while it only reads. (An old snapshot stops it before verify, for us to set the pace.)
value('CREATE INDEX t_v ON t (v)');
my $session = hold('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM flushed');
value(q{SET zdm.pace = 'full'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'verified')});
until_true(q{SELECT phase = 'build' FROM zdm.status WHERE name = 'verified'}, 'the index');
# In small boxes: on a fast machine one would be all of it.
value(q{SELECT zdm.configure('verified', 'batch_time', '5ms'), zdm.configure('verified', 'pace', '0.01')});
let_go($session);
until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'verify' AND NOT done)}, 'verify');
cmp_ok(longest_wait('verify', @others), '<', 1, 'who wants the table in verify has it within a box');
value(q{SELECT zdm.configure('verified', 'pace', 'full')});
value(q{CALL zdm.wait('verified', 'ready', 60)});
value(q{SELECT zdm.abort('verified')});
value(q{CALL zdm.wait('verified', 'aborted', 30)});
value('DROP INDEX t_v');

# --- Somebody has it, for long.
value(q{SET zdm.pace = '0.02'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'held')});
until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'backfill' AND next_block > 0 AND NOT done)}, 'the backfill');
$session = hold(q{BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT 'pid ' || pg_backend_pid()});
my ($pid) = $session->{out} =~ /^(pid \d+)$/m;
until_true(qq{SELECT state = 'waiting' AND message ~ '^waits for a lock: $pid holds AccessExclusiveLock on public.t' FROM zdm.status WHERE name = 'held'}, 'its name');
pass('who has the table is named');
let_go($session);
until_true(q{SELECT state = 'running' FROM zdm.status WHERE name = 'held'}, 'the backfill to go on');

# --- And through crashes.
my $stands = q{SELECT state = 'waiting' AND message ~ '^waits for a lock: a prepared transaction holds AccessExclusiveLock on public.%s' FROM zdm.status WHERE name = '%s'};
sub stands { my ($table, $name) = @_; until_true(sprintf($stands, $table, $name), "$table to be waited for"); return; }
value(q{BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'ddl'});
stands('t', 'held');
kill_worker();
stands('t', 'held');
stop_at_once();
stands('t', 'held');
pass('a prepared transaction that has the table is named, also after crashes');
is(value(q{SELECT zdm.pause('held')}), 'ready', 'and whoever steers is heard');
until_true('SELECT zdm.worker_pid() IS NULL', 'the worker to leave');
value(q{COMMIT PREPARED 'ddl'; SELECT zdm.resume('held')});
value(q{SELECT zdm.configure('held', 'pace', 'full'), zdm.cutover('held')});
value(q{CALL zdm.wait('held', 'soak', 60)});
is(value(q{SELECT zdm.verify('held')}), '0', 'it goes on to its end: no row differs');
is(value('SELECT sum(v) - sum(id % 7) FROM t'), $written, 'no write is lost');

# --- We want it for ourselves, and somebody reads it: others stand behind us for a tenth of zdm.lock_timeout at first.
value(q{CREATE TABLE s (v integer); INSERT INTO s SELECT generate_series(1, 1000)});
value(q{SET zdm.lock_timeout = '4s'; SELECT zdm.change_type('s', 'v', 'bigint', name => 'queued')});
value(q{CALL zdm.wait('queued', 'ready', 60)});
$session = hold('BEGIN; SELECT count(*) FROM s');
value(q{SELECT zdm.cutover('queued')});
my $tried = q{FROM zdm.event, regexp_match(detail ->> 'message', 'AccessShareLock on public.s.*tried for (\d+) ms, (\d+) attempts') AS m
    WHERE name = 'queued' AND m IS NOT NULL};
until_true("SELECT count(*) > 0 $tried", 'the first attempt');
is(value("SELECT m[1]::integer BETWEEN 400 AND 1000, m[2] $tried ORDER BY id LIMIT 1"), 't|1', 'the first attempt was a short one');
let_go($session);
value(q{CALL zdm.wait('queued', 'soak', 60)});

# An undoing has attempts, too, each of them one.
my $attempts = q{(SELECT attempts FROM zdm.step JOIN zdm.migration m ON m.id = migration WHERE m.name = 'queued' AND step.kind = 'swap')};
my $before = value("SELECT $attempts");
$session = hold('BEGIN; SELECT count(*) FROM s');
value(q{SELECT zdm.revert('queued')});
until_true("SELECT $attempts > $before + 1", 'the attempts to undo');
let_go($session);
value(q{CALL zdm.wait('queued', 'ready', 60)});
pass('an undoing counts its attempts');

# --- Of a partitioned table somebody has one partition.
value(q{
    CREATE TABLE p (id integer, v integer) PARTITION BY RANGE (id);
    CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (100000);
    CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (100000) TO (200000);
    INSERT INTO p SELECT g, g % 7 FROM generate_series(1, 199999) g});
value(q{SET zdm.pace = '0.02'; SELECT zdm.change_type('p', 'v', 'bigint', name => 'partitioned')});
until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE relation = 'p_1'::regclass AND next_block > 0)}, 'the backfill');
value(q{BEGIN; LOCK TABLE p_2 IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'ddl'});
value(q{SELECT zdm.configure('partitioned', 'pace', 'full')});
stands('p_2', 'partitioned');
kill_worker();
stands('p_2', 'partitioned');
pass('who has a partition is named, also after a crash');
value(q{COMMIT PREPARED 'ddl'});
value(q{CALL zdm.wait('partitioned', 'ready', 60)});
is(value(q{SELECT zdm.verify('partitioned')}), '0', 'it goes on to its end: no row differs');
finish();
