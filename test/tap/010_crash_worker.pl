# kill -9 of the worker in every phase. The postmaster restarts the whole server (as for any backend), and the
# migration goes on from its saved place: never from zero, never half-way between two phases, and with old and
# new equal in the end. No preload: the postmaster remembers the worker, and zdm.wake() is there to make sure.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\nautovacuum = off");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION zdm;
    CREATE TABLE flushed (at timestamptz);
    CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL DEFAULT 0 CHECK (v >= 0));
    INSERT INTO t (v) SELECT g % 1000 FROM generate_series(1, 300000) g;
    CREATE INDEX t_v ON t (v);
    VACUUM ANALYZE t;
});

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub pause { my ($seconds) = @_; select(undef, undef, undef, $seconds); return; }
sub until_true
{
    my ($sql, $what) = @_;
    $node->poll_query_until('postgres', $sql) or die "waited in vain for $what: " . value('SELECT * FROM zdm.status');
    return;
}

# The saved place of a pass. The rows and their place are committed without waiting for the disk; the insert
# waits, and everything before it in the log is then there too.
sub cursor
{
    my ($kind) = @_;
    my $block = value("SELECT coalesce(max(next_block), 0) FROM zdm.scan WHERE kind = '$kind'");
    value('INSERT INTO flushed VALUES (now())');
    return $block;
}

sub until_server_answers
{
    for my $attempt (1 .. 600)
    {
        return if $node->psql('postgres', 'SELECT 1') == 0;
        pause(0.1);
    }
    die 'the server did not come back';
}

# Returns when the server has recovered from it.
sub kill_worker
{
    my $pid = value('SELECT zdm.worker_pid()');
    die 'no worker to kill' if $pid eq '';
    my $log = -s $node->logfile;
    kill 9, $pid;
    for my $attempt (1 .. 600)
    {
        last if slurp_file($node->logfile, $log) =~ /database system is ready to accept connections/;
        die 'the server does not recover' if $attempt == 600;
        pause(0.1);
    }
    until_server_answers();
    return;
}

# In one snapshot: what the table looks like is what the phase says.
my %shape = (
    before => 'id integer, v integer; 0 triggers',
    both => 'id integer, v integer, zdm_new_v bigint; 1 triggers',
    soak => 'id integer, v bigint, zdm_old_v integer; 1 triggers',
    done => 'id integer, v bigint; 0 triggers');
my %shape_of = (
    queued => 'before', aborted => 'before', soak => 'soak', done => 'done',
    map { $_ => 'both' } qw(expand backfill build verify ready));

sub whole
{
    my ($where) = @_;
    my ($phase, $shape) = split /\|/, value(q{
        SELECT (SELECT phase FROM zdm.migration WHERE name = 'm'),
               (SELECT string_agg(attname || ' ' || format_type(atttypid, NULL), ', ' ORDER BY attname)
                  FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped)
               || '; ' || (SELECT count(*) FROM pg_trigger
                            WHERE tgrelid = 't'::regclass AND tgfoid = 'zdm.sync'::regproc) || ' triggers'});
    is($shape, $shape{ $shape_of{$phase} }, "$where: the table is what phase $phase says");
    return $phase;
}

sub equal
{
    my ($where) = @_;
    is(value(q{SELECT zdm.verify('m')}), '0', "$where: 0 discrepancies");
    return;
}

# A session with a transaction that stays open until the crash ends it.
sub hold
{
    my ($transaction) = @_;
    my ($in, $out, $err) = ("$transaction; SELECT 'held';\n", '', '');
    my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
        '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
    pump $session until $out =~ /held/;
    return $session;
}

sub let_go { my ($session) = @_; $session->kill_kill; return; }

# --- backfill, twice: the second time from a place that was saved after the first.
value(q{SET zdm.pace = '0.05'; SET zdm.batch_time = '5ms';
        SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
my $before = 0;
for my $kill (1 .. 2)
{
    until_true("SELECT coalesce(max(next_block), 0) > $before FROM zdm.scan WHERE kind = 'backfill'", 'progress');
    $before = cursor('backfill');
    kill_worker();
    cmp_ok(cursor('backfill'), '>=', $before, "killed in backfill ($kill): what was saved is kept");
    is(whole("killed in backfill ($kill)"), 'backfill', 'still in backfill');
    is(value('SELECT zdm.wake()'), '1', 'wake counts the migration');
    value("INSERT INTO t (v) VALUES (500); UPDATE t SET v = 501 WHERE id IN ($kill, 300000 - $kill)");
    until_true('SELECT zdm.worker_pid() IS NOT NULL', 'a new worker');
}

# --- build: the index is built CONCURRENTLY, which waits for whoever has an older snapshot.
my $elder = hold('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM flushed');
value(q{SELECT zdm.configure('m', 'pace', 'full')});
until_true(q{SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)}, 'a concurrent build');
$before = cursor('backfill');
kill_worker();
let_go($elder);
value(q{SELECT zdm.configure('m', 'pace', '0.01'), zdm.configure('m', 'batch_time', '1ms')});
cmp_ok(cursor('backfill'), '>=', $before, 'killed in build: the backfill is not done again');
is(value(q{SELECT bool_and(done) FROM zdm.scan WHERE kind = 'backfill'}), 't', 'killed in build: it stays done');
whole('killed in build');
value('SELECT zdm.wake()');

# --- verify
until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'verify' AND next_block > 0 AND NOT done)}, 'the pass');
$before = cursor('verify');
kill_worker();
cmp_ok(cursor('verify'), '>=', $before, 'killed in verify: the pass goes on where it was');
is(whole('killed in verify'), 'verify', 'still in verify');
value('SELECT zdm.wake()');
value(q{SELECT zdm.configure('m', 'pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 60)});
equal('ready');
is(value(q{SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v}), '0', 'every row is copied');
is(value(q{SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid}), '0',
    'the interrupted build left no invalid index');

# --- cutover, and revert, while they wait for a reader.
for my $direction ([ 'cutover', 'soak', 'ready' ], [ 'revert', 'ready', 'soak' ])
{
    my ($ask, $to, $from) = @$direction;
    my $reader = hold('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE');
    value("SELECT zdm.$ask('m')");
    until_true(q{SELECT state = 'waiting' AND message LIKE 'waits for a lock%' FROM zdm.status}, 'waiting');
    kill_worker();
    let_go($reader);
    # The worker comes back with the server, so it may be done by now; but nothing in between.
    like(whole("killed in $ask"), qr/^($from|$to)$/, "killed in $ask: in phase $from or $to");
    value('SELECT zdm.wake()');
    value("CALL zdm.wait('m', '$to', 60)");
    whole("after $ask");
    equal("after $ask");
    value('INSERT INTO t (v) VALUES (502)');
}

# --- Right after it was asked for, at whatever it is doing then.
for my $try (1 .. 6)
{
    my ($ask, $to) = $try % 2 ? ('cutover', 'soak') : ('revert', 'ready');
    value("SELECT zdm.$ask('m')");
    # It may have done its work and left already.
    my $pid = value('SELECT zdm.worker_pid()');
    if ($pid ne '')
    {
        kill 9, $pid;
        pause(0.1);
        until_server_answers();
    }
    whole("killed right after $ask was asked for");
    until_server_answers() while $node->psql('postgres', 'SELECT zdm.wake()') != 0;
    value("CALL zdm.wait('m', '$to', 60)");
    whole("then");
    value("UPDATE t SET v = v + 1 WHERE id % 1000 = $try");
    equal("$ask $try");
}

# --- contract
value(q{SELECT zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 60)});
my $sum = value('SELECT sum(v) FROM t');
my $reader = hold('BEGIN; LOCK TABLE t IN ACCESS SHARE MODE');
value(q{SELECT zdm.contract('m')});
until_true(q{SELECT EXISTS (SELECT FROM zdm.step WHERE phase = 'done' AND state IN ('running', 'waiting'))}, 'contract');
kill_worker();
let_go($reader);
like(whole('killed in contract'), qr/^(soak|done)$/, 'killed in contract: in phase soak or done');
value('SELECT zdm.wake()');
value(q{CALL zdm.wait('m', 'done', 60)});
whole('after contract');
is(value('SELECT sum(v) FROM t'), $sum, 'no value is lost');
is(value(q{SELECT string_agg(conname || ' ' || convalidated, ', ' ORDER BY conname) FROM pg_constraint
            WHERE conrelid = 't'::regclass AND contype IN ('c', 'p')}),
    't_pkey true, t_v_check true', 'constraints have their names and are valid');
is(value(q{SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY 1) FROM pg_index
            WHERE indrelid = 't'::regclass}), 't_pkey true, t_v true', 'so are the indexes');

until_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'}, 'an end of the worker');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal (4|6|7|8|11)\b/, 'nobody crashed but by our hand');
$node->stop;
done_testing();
