# The server is stopped as if the power failed, in every phase from queued to contract, without preload and with
# it. Without, nobody works afterwards: the state says so, and zdm.wake() resumes. With it the migration goes on
# by itself. Either way the table looks as the phase says, and old and new are equal in the end.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub until_true
{
    my ($sql, $what) = @_;
    $node->poll_query_until('postgres', $sql)
        or die "waited in vain for $what: " . value('SELECT row(s.*) FROM zdm.status s');
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
sub let_go { my ($session) = @_; $session->kill_kill if $session; return; }

my $reads = 'BEGIN; LOCK TABLE t IN ACCESS SHARE MODE';
my $old_snapshot = 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM flushed';

my %shape = (
    before => 'id integer, v integer; 0 triggers',
    both => 'id integer, v integer, zdm_new_v bigint; 1 triggers',
    soak => 'id integer, v bigint, zdm_old_v integer; 1 triggers',
    done => 'id integer, v bigint; 0 triggers');
my %shape_of = (
    queued => 'before', aborted => 'before', soak => 'soak', done => 'done',
    map { $_ => 'both' } qw(expand backfill build verify ready));

# In one snapshot: what the table looks like is what the phase says.
sub whole
{
    my ($where) = @_;
    my ($phase, $shape) = split /\|/, value(q{
        SELECT (SELECT phase FROM zdm.migration ORDER BY id DESC LIMIT 1),
               (SELECT string_agg(attname || ' ' || format_type(atttypid, NULL), ', ' ORDER BY attname)
                  FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped)
               || '; ' || (SELECT count(*) FROM pg_trigger
                            WHERE tgrelid = 't'::regclass AND tgfoid = 'zdm.sync'::regproc) || ' triggers'});
    is($shape, $shape{ $shape_of{$phase} }, "$where: the table is what phase $phase says");
    return $phase;
}

# Stops the server and starts it; the session that was in the way is gone with it.
sub crash
{
    my ($preload, $where, $session) = @_;
    # What was saved without waiting for the disk is on it after this.
    value('INSERT INTO flushed VALUES (now())');
    $node->stop('immediate');
    let_go($session);
    $node->start;
    if ($preload)
    {
        whole($where);
        return;
    }
    is(value(q{SELECT state || ' ' || (message LIKE 'no worker runs%zdm.wake()%') || ' ' || next_action FROM zdm.status}),
        'waiting true SELECT zdm.wake()', "$where: status says that nobody works and what to do");
    whole($where);
    is(value('SELECT zdm.wake()'), '1', "$where: wake");
    return;
}

for my $preload (0, 1)
{
    my $how = $preload ? 'preloaded' : 'not preloaded';
    $node = PostgreSQL::Test::Cluster->new($preload ? 'preloaded' : 'plain');
    $node->init;
    $node->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off");
    $node->append_conf('postgresql.conf', "shared_preload_libraries = 'zdm'") if $preload;
    $node->start;
    value(q{
        CREATE EXTENSION zdm;
        CREATE TABLE flushed (at timestamptz);
        CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL DEFAULT 0 CHECK (v >= 0));
        INSERT INTO t (v) SELECT g % 1000 FROM generate_series(1, 300000) g;
        CREATE INDEX t_v ON t (v);
        VACUUM ANALYZE t});

    # queued: a reader is in the way of expand.
    my $session = hold($reads);
    value(q{SET zdm.pace = '0.01'; SET zdm.batch_time = '1ms'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
    until_true(q{SELECT phase = 'queued' AND message LIKE 'waits for a lock%' FROM zdm.status}, 'expand to wait');
    crash($preload, "$how, in queued", $session);

    # expand, or the first moments of backfill: nothing makes expand last.
    until_true(q{SELECT phase <> 'queued' FROM zdm.status}, 'expand');
    crash($preload, "$how, after expand");

    until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'backfill' AND next_block > 0 AND NOT done)}, 'backfill');
    my $block = value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'});
    crash($preload, "$how, in backfill");
    cmp_ok(value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'}), '>=', $block, "$how, in backfill: its place is kept");
    value('UPDATE t SET v = v + 1 WHERE id % 100 = 0');

    # build: an old snapshot is in the way of the index.
    $session = hold($old_snapshot);
    value(q{SELECT zdm.configure('m', 'pace', 'full')});
    until_true(q{SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)}, 'the index');
    value(q{SELECT zdm.configure('m', 'pace', '0.01')});
    crash($preload, "$how, in build", $session);

    until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'verify' AND next_block > 0 AND NOT done)}, 'verify');
    crash($preload, "$how, in verify");
    value(q{SELECT zdm.configure('m', 'pace', 'full')});
    value(q{CALL zdm.wait('m', 'ready', 60)});
    is(value(q{SELECT zdm.verify('m')}), '0', "$how, ready: 0 discrepancies");
    is(value(q{SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v}), '0', "$how, ready: every row is copied");

    # Nothing is under way in ready and in soak: a crash changes nothing, and nobody is needed.
    for my $phase ('ready', 'soak')
    {
        if ($phase eq 'soak')
        {
            # cutover: a reader is in the way.
            $session = hold($reads);
            value(q{SELECT zdm.cutover('m')});
            until_true(q{SELECT phase = 'ready' AND message LIKE 'waits for a lock%' FROM zdm.status}, 'cutover to wait');
            crash($preload, "$how, at cutover", $session);
            until_true(q{SELECT phase = 'soak' FROM zdm.status}, 'soak');
        }
        value('INSERT INTO t (v) VALUES (7)');
        $node->stop('immediate');
        $node->start;
        is(whole("$how, in $phase"), $phase, "$how: still in $phase");
      TODO:
        {
            # The outcome of a cutover that had to wait is recorded as "running" after the phase has said "idle".
            local $TODO = 'a cutover that waited for its lock leaves the state at running' if $phase eq 'soak';
            is(value('SELECT state FROM zdm.status'), 'idle', "$how, in $phase: idle, not waiting for a worker");
        }
        value('UPDATE t SET v = v + 1 WHERE v = 7');
        is(value(q{SELECT zdm.verify('m')}), '0', "$how, in $phase: 0 discrepancies");
    }

    # revert
    $session = hold($reads);
    value(q{SELECT zdm.revert('m')});
    until_true(q{SELECT phase = 'soak' AND message LIKE 'waits for a lock%' FROM zdm.status}, 'revert to wait');
    crash($preload, "$how, at revert", $session);
    until_true(q{SELECT phase = 'ready' FROM zdm.status}, 'ready');
    whole("$how, after revert");
    value('INSERT INTO t (v) VALUES (8)');
    is(value(q{SELECT zdm.verify('m')}), '0', "$how, after revert: 0 discrepancies");

    # contract
    value(q{SELECT zdm.cutover('m')});
    value(q{CALL zdm.wait('m', 'soak', 60)});
    my $sum = value('SELECT sum(v) FROM t');
    $session = hold($reads);
    value(q{SELECT zdm.contract('m')});
    until_true(q{SELECT EXISTS (SELECT FROM zdm.step WHERE phase = 'done' AND state IN ('running', 'waiting'))}, 'contract');
    crash($preload, "$how, at contract", $session);
    until_true(q{SELECT phase = 'done' FROM zdm.status}, 'done');
    whole("$how, done");
    is(value('SELECT sum(v) FROM t'), $sum, "$how, done: no value is lost");
    is(value(q{SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY 1) FROM pg_index
                WHERE indrelid = 't'::regclass}), 't_pkey true, t_v true', "$how, done: the indexes, and no others");

    # Once more, aborted in backfill: a reader is in the way of dropping the new column.
    value(q{SET zdm.pace = '0.01'; SELECT zdm.change_type('t', 'v', 'numeric', name => 'again')});
    until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE next_block > 0 AND NOT done)}, 'the second backfill');
    $session = hold($reads);
    value(q{SELECT zdm.abort('again')});
    until_true(q{SELECT message LIKE 'waits for a lock%' FROM zdm.status WHERE name = 'again'}, 'abort to wait');
    $node->stop('immediate');
    let_go($session);
    $node->start;
    value('SELECT zdm.wake()') unless $preload;
    until_true(q{SELECT phase = 'aborted' FROM zdm.status WHERE name = 'again'}, 'aborted');
    is(value(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname LIKE 'zdm%' AND NOT attisdropped}),
        '0', "$how, aborted: nothing of zdm is left on the table");

    until_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'}, 'the end of the worker');
    unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, "$how: nobody crashed but by our hand");
    $node->stop;
}
done_testing();
