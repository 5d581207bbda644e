# A transaction that is open for the whole run. What it may still see cannot be pruned, so the backfill has no room on
# the rows' own pages: it goes on and writes them elsewhere, or stands where zdm.wait_for_horizon says so, and either way
# names who is in the way. What the old transaction itself reads stays right, through cutover too. Prepared transactions
# survive a crash: the worker killed and the power gone change nothing.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use Test::More;

start_server("max_prepared_transactions = 4\nshared_buffers = 128MB");
sub create
{
    my ($table) = @_;
    value(qq{
        CREATE TABLE $table (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 60));
        INSERT INTO $table (id, v) SELECT g, g % 7 FROM generate_series(1, 100000) g});
    value("VACUUM ANALYZE $table");
    return;
}
sub writers
{
    my ($table) = @_;
    return start_writers($table, "\\set id random(1, 100000)\nUPDATE $table SET v = v + 1 WHERE id = :id;\n", '-c', '2', '-R', '50');
}
sub until_message
{
    my ($name, $pattern) = @_;
    until_true("SELECT message ~ \$re\$$pattern\$re\$ FROM zdm.status WHERE name = '$name'", qq{"$pattern"});
    pass("$name: status says $pattern");
    return;
}
sub equal
{
    my ($name, $written) = @_;
    is(value("SELECT zdm.verify('$name')"), '0', "$name: no row differs");
    is(value("SELECT sum(v) - sum(id % 7) FROM $name"), $written, "$name: no write is lost");
    return;
}
sub start_session
{
    my ($transaction) = @_;
    my $session = hold("$transaction; SELECT 'pid ' || pg_backend_pid()");
    my ($pid) = $session->{out} =~ /^(pid \d+)$/m;
    return ($session, $pid);
}

# --- A snapshot from before the migration: pg_dump, a report. It reads the table only at its very end.
create('snapshot');
value('VACUUM FREEZE');
my ($session, $pid) = start_session('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM flushed');
my $sum = value('SELECT sum(v) FROM snapshot');
my $writers = writers('snapshot');
value(q{SET zdm.pace = '0.2'; SELECT zdm.change_type('snapshot', 'v', 'bigint', name => 'snapshot')});
until_message('snapshot', "^$pid .* keeps dead rows from being pruned: writing rows out of place");
value(q{SELECT zdm.configure('snapshot', 'pace', 'full')});
value(q{CALL zdm.wait('snapshot', 'ready', 30)});
pass('snapshot: it goes on to ready');
# Under its own name the new column would be empty for this snapshot.
value(q{SELECT zdm.cutover('snapshot')});
until_message('snapshot', "^waits for a snapshot from before all rows were copied.*: $pid ");
is(value(q{SELECT phase || ' ' || state FROM zdm.status}), 'ready waiting', 'snapshot: cutover waits');
is(let_go($session, 'SELECT sum(v) FROM snapshot; COMMIT'), $sum, 'snapshot: it has read what was true when it began');
value(q{CALL zdm.wait('snapshot', 'soak', 30)});
pass('snapshot: cutover goes on when it has ended');
equal('snapshot', end_writers($writers));

# --- A transaction that has written and forgotten to commit. It has no snapshot, but everybody's snapshots remember it.
create('forgotten');
value('CREATE INDEX ON forgotten (v)');
($session, $pid) = start_session('BEGIN; INSERT INTO flushed VALUES (now())');
$writers = writers('forgotten');
value(q{SET zdm.pace = '0.2'; SELECT zdm.change_type('forgotten', 'v', 'bigint', name => 'forgotten')});
until_message('forgotten', "^$pid .idle in transaction.* keeps dead rows from being pruned: writing rows out of place");
value(q{SELECT zdm.configure('forgotten', 'pace', 'full'), zdm.cutover('forgotten')});
value(q{CALL zdm.wait('forgotten', 'soak', 30)});
pass('forgotten: it goes through index, verify and cutover');
equal('forgotten', end_writers($writers));
let_go($session);

# --- Told to wait for it; and it outlives every crash.
create('prepared');
value(q{BEGIN; INSERT INTO flushed VALUES (now()); PREPARE TRANSACTION 'old one'});
my $stands = q{^prepared transaction 'old one' keeps dead rows from being pruned: waiting for it to end};
$writers = writers('prepared');
value(q{SET zdm.wait_for_horizon = on; SET zdm.pace = 'full'; SELECT zdm.change_type('prepared', 'v', 'bigint', name => 'prepared')});
until_message('prepared', $stands);
my $place = q{SELECT next_block FROM zdm.scan JOIN zdm.migration ON id = migration WHERE name = 'prepared'};
my $at = value($place);
my $size = value(q{SELECT pg_relation_size('prepared') / 8192});
pause(1);
is(value($place), $at, 'prepared: it stands');
cmp_ok(value(q{SELECT pg_relation_size('prepared') / 8192}), '<', $size + 50, 'prepared: so the table grows by what others write');
my $written = end_writers($writers);
kill_worker();
until_message('prepared', $stands);
stop_at_once();
until_message('prepared', $stands);
$writers = writers('prepared');
value(q{SELECT zdm.configure('prepared', 'wait_for_horizon', 'off'), zdm.cutover('prepared')});
value(q{CALL zdm.wait('prepared', 'soak', 30)});
pass('prepared: told not to wait any longer it goes on, and the transaction is still there');
$written += end_writers($writers);
equal('prepared', $written);
value(q{COMMIT PREPARED 'old one'});

# --- It holds the table itself: nobody queues behind us for it.
create('holder');
value(q{BEGIN; UPDATE holder SET v = v + 1 WHERE id = 1; PREPARE TRANSACTION 'writer'});
value(q{SET zdm.pace = '0.05'; SELECT zdm.change_type('holder', 'v', 'bigint', name => 'holder')});
until_message('holder', '^waits for a lock: a prepared transaction holds RowExclusiveLock on public.holder$');
is(value(q{SELECT max(longest_wait_ms) FROM zdm.step WHERE name = 'holder'}), '0', 'holder: without queueing for the lock');
value(q{COMMIT PREPARED 'writer'});
# And a row of it, which the backfill passes by and comes back to.
until_true(q{SELECT phase = 'backfill' FROM zdm.status WHERE name = 'holder'}, 'the backfill');
value(q{BEGIN; UPDATE holder SET v = v + 1 WHERE id = 99000; PREPARE TRANSACTION 'writer'});
value(q{SELECT zdm.configure('holder', 'pace', 'full')});
$stands = '^waits for rows of public.holder that others are writing';
until_message('holder', $stands);
kill_worker();
until_message('holder', $stands);
stop_at_once();
until_message('holder', $stands);
value(q{COMMIT PREPARED 'writer'});
value(q{SELECT zdm.cutover('holder')});
value(q{CALL zdm.wait('holder', 'soak', 30)});
equal('holder', 2);
is(value(q{SELECT string_agg(DISTINCT phase || ' ' || state, ', ') FROM zdm.status}), 'soak idle', 'all have come to their end');
finish();
