# Statements that take long: an index is built CONCURRENTLY, a constraint is proved. They give way: who waits for a lock
# that they have gets it in a moment, and they begin again. Else an ANALYZE or an ALTER TABLE would wait for the build and
# the build, at its end, for that one's snapshot; the application would stand behind DDL that waits for a proof. They
# queue for a lock no longer than others do, and an abort ends them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use Time::HiRes qw(time);
use Test::More;

# Plans are parallel where they can be.
start_server("shared_buffers = 128MB\nmin_parallel_table_scan_size = 0\nparallel_setup_cost = 0\nparallel_tuple_cost = 0");
value(q{
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0);
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 20000) g;
    CREATE FUNCTION slowly(bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN true; END $$;
    CREATE FUNCTION slowly(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN true; END $$});
value('VACUUM ANALYZE t');

# The application: no statement of it waits for two seconds.
local $ENV{PGOPTIONS} = '-c statement_timeout=2s';
my $writers = start_writers('beside', "\\set id random(1, 20000)\nUPDATE t SET v = v + 1 WHERE id = :id;\n", '-c', '2', '-R', '50');
$ENV{PGOPTIONS} = '-c statement_timeout=30s';

sub until_worker
{
    my ($does, $what) = @_;
    until_true("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = zdm.worker_pid() AND ($does))", $what);
    return;
}
sub until_build_waits { until_worker(q{wait_event = 'virtualxid' AND query ~ '^(CREATE|DROP) INDEX CONCURRENTLY'}, 'the build to wait, or what is left of the last one'); return; }
# It says so a moment after it has let go of the lock.
sub gave_way
{
    my ($mode, $name, $what) = @_;
    until_true(qq{SELECT EXISTS (SELECT FROM zdm.event WHERE name = '$name' AND detail::text ~ 'gave way to pid [0-9]+, which waited for $mode on public.t')}, $what);
    pass($what);
    return;
}
sub at_once
{
    my ($what, $do) = @_;
    my $began = time;
    $do->();
    cmp_ok(time - $began, '<', 5, "$what has the table in a moment");
    return;
}

# --- An index. A snapshot that is older than it keeps the build waiting, as long as we like.
my $old = hold('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM flushed');
value(q{SELECT zdm.create_index('CREATE INDEX t_v ON t (v)', 'built')});
until_build_waits();
at_once('ANALYZE', sub { value('ANALYZE t') });
gave_way('ShareUpdateExclusiveLock', 'built', 'status has said for whom the build was given up');

# One that the build waits for, and which then waits for the build: both can go on only if one gives way.
my $session = hold('BEGIN; UPDATE t SET v = v + 1 WHERE id = 1');
until_build_waits();
at_once('ALTER TABLE', sub { let_go($session, 'ALTER TABLE t ADD COLUMN extra integer; COMMIT') });
gave_way('AccessExclusiveLock', 'built', 'the build was given up for it');

# It has no snapshot, so it is in no deadlock; but the application stands behind it.
until_build_waits();
at_once('LOCK TABLE', sub { value('BEGIN; LOCK TABLE t; COMMIT') });

# Nobody stands behind a VACUUM, and the build never waits for it.
until_build_waits();
my $given_up = value(q{SELECT count(*) FROM zdm.event WHERE detail::text ~ 'gave way'});
{
    local $ENV{PGOPTIONS} = '';
    $session = { in => "VACUUM t;\n\\q\n", out => '', err => '' };
    $session->{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', node()->connstr('postgres') ], '<', \$session->{in}, '>', \$session->{out}, '2>', \$session->{err});
    $session->{handle}->pump_nb;
}
until_true(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = 'VACUUM t;' AND wait_event_type = 'Lock')}, 'VACUUM to wait');
pause(1);
until_build_waits();
let_go($old);
value(q{CALL zdm.wait('built', 'done', 60)});
$session->{handle}->finish;
is($session->{err}, '', 'a VACUUM waits for the build and fails not');
is(value(q{SELECT count(*) FROM zdm.event WHERE detail::text ~ 'gave way'}), $given_up, 'nor is the build given up for it');
is(value(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 't_v'::regclass}), 't', 'the index is there in the end');

# --- Somebody else has the lock that it needs.
$session = hold(q{BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; SELECT 'pid ' || pg_backend_pid()});
my ($pid) = $session->{out} =~ /^(pid \d+)$/m;
value(q{SELECT zdm.drop_index('t_v', 'dropped')});
until_true(qq{SELECT state = 'waiting' AND message ~ 'waits for a lock: $pid holds ShareUpdateExclusiveLock on public.t' FROM zdm.status WHERE name = 'dropped'}, 'its name');
pass('who has the lock is named');
until_true(q{SELECT NOT EXISTS (SELECT FROM pg_locks WHERE pid = zdm.worker_pid() AND NOT granted)}, 'the worker to stand in no queue');
let_go($session);
value(q{CALL zdm.wait('dropped', 'done', 60)});

# Or that of the index.
value('CREATE INDEX t_v ON t (v)');
$session = hold('BEGIN; ALTER INDEX t_v SET (fillfactor = 80)');
value(q{SELECT zdm.drop_index('t_v', 'dropped again')});
until_true(q{SELECT state = 'waiting' AND message ~ 'waits for a lock: pid [0-9]+ holds ShareUpdateExclusiveLock on public.t_v' FROM zdm.status WHERE name = 'dropped again'}, 'its name');
value('BEGIN; SET LOCAL lock_timeout = 2000; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; COMMIT');
pass('while it waits for an index nobody waits for the table');
let_go($session);
value(q{CALL zdm.wait('dropped again', 'done', 60)});

# --- An abort cancels what is under way. What it does itself is not cancelled, however many are woken.
$old = hold('BEGIN; UPDATE t SET v = v + 1 WHERE id = 2');
value(q{SELECT zdm.create_index('CREATE INDEX t_v ON t (v)', 'called off')});
until_build_waits();
value(q{SELECT zdm.abort('called off')});
until_worker(q{wait_event = 'virtualxid' AND query ~ '^DROP INDEX CONCURRENTLY'}, 'the abort to wait');
my $attempts = value(q{SELECT sum(attempts) FROM zdm.step JOIN zdm.migration m ON m.id = migration WHERE m.name = 'called off'});
for (1 .. 3) { wake(); pause(0.3); }
is(value(q{SELECT sum(attempts) FROM zdm.step JOIN zdm.migration m ON m.id = migration WHERE m.name = 'called off'}), $attempts, 'an abort is not cancelled by another worker');
until_worker(q{wait_event = 'virtualxid' AND query ~ '^DROP INDEX CONCURRENTLY'}, 'the abort to wait still');
let_go($old);
value(q{CALL zdm.wait('called off', 'aborted', 60)});
is(value(q{SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass}), '1', 'nothing is left of the index');

# --- A proof reads every row; this one would take minutes.
value(q{SELECT zdm.add_constraint('t', 'positive', 'CHECK (slowly(id))', 'proved')});
my $proves = q{wait_event = 'PgSleep'};
until_worker($proves, 'the proof');
at_once('LOCK TABLE', sub { value('BEGIN; LOCK TABLE t; COMMIT') });
gave_way('AccessExclusiveLock', 'proved', 'the proof was given up for it');
until_worker($proves, 'the proof to begin again');
at_once('abort', sub { value(q{SELECT zdm.abort('proved')}); value(q{CALL zdm.wait('proved', 'aborted', 60)}) });

# One that is broken: the rows are looked for. What the server has found is not forgotten when that is ended.
value(q{
    CREATE TABLE w (id integer PRIMARY KEY, v integer);
    INSERT INTO w SELECT g, g FROM generate_series(1, 20000) g; ANALYZE w;
    CREATE FUNCTION broken(integer) RETURNS boolean LANGUAGE plpgsql PARALLEL SAFE AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN false; END $$});
value(q{SELECT zdm.add_constraint('w', 'broken', 'CHECK (broken(v))', 'broken')});
until_true(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND leader_pid = zdm.worker_pid() AND wait_event = 'PgSleep')}, 'the list of rows');
at_once('LOCK TABLE', sub { value('BEGIN; LOCK TABLE w; COMMIT') });
until_true(q{SELECT state = 'failed' FROM zdm.status WHERE name = 'broken'}, 'the constraint to be given up');
like(value(q{SELECT message FROM zdm.status WHERE name = 'broken'}), qr/rows break it, but their list gave way to pid \d+, which waited for AccessExclusiveLock on public.w/, 'it is still known that rows break it');
is(value(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 'w'::regclass AND contype = 'c'}), '0', 'and the constraint is gone');
value(q{SELECT zdm.abort('broken')});

# And the one of a constraint that a change of type carries along.
value(q{
    CREATE TABLE u (id integer PRIMARY KEY, v integer NOT NULL CHECK (slowly(v)));
    INSERT INTO u SELECT g, g FROM generate_series(1, 1000) g});
value(q{SELECT zdm.change_type('u', 'v', 'bigint', name => 'changed')});
my $proof_of_new_side = q{EXISTS (SELECT FROM zdm.status WHERE name = 'changed' AND message ~ '^reads every row of public.u for constraint')};
until_true($proof_of_new_side, 'the proof');
at_once('LOCK TABLE', sub { value('BEGIN; LOCK TABLE u; COMMIT') });
until_true($proof_of_new_side, 'the proof to begin again');
at_once('abort', sub { value(q{SELECT zdm.abort('changed')}); value(q{CALL zdm.wait('changed', 'aborted', 60)}) });

end_writers($writers);
finish();
