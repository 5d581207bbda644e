# kill -9 of the worker, and of the server, in every phase: the migration goes on where it was, never from zero,
# and old and new are equal in the end. Without preload somebody has to ask (zdm.wake) after a restart of the
# server; with it the launcher does.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\nautovacuum = off");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL DEFAULT 0 CHECK (v >= 0), pad text);
    INSERT INTO t (v, pad) SELECT g, repeat('x', 100) FROM generate_series(1, 100000) g;
    CREATE INDEX t_v ON t (v);
});

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub phase { return value(q{SELECT phase FROM zdm.migration WHERE name = 'm' ORDER BY id DESC LIMIT 1}); }
sub cursor { return value(q{SELECT coalesce(max(next_block), 0) FROM zdm.scan WHERE kind = 'backfill'}); }

# The postmaster starts everything anew; connections fail until then.
sub wait_for_server
{
    for my $attempt (1 .. 600)
    {
        return if $node->psql('postgres', 'SELECT 1') == 0;
        select(undef, undef, undef, 0.1);
    }
    die 'the server did not come back';
}

sub kill_worker
{
    $node->poll_query_until('postgres', 'SELECT zdm.worker_pid() IS NOT NULL') or die 'no worker';
    my $pid = value('SELECT zdm.worker_pid()');
    kill 9, $pid;
    # The old postmaster children go first.
    for my $attempt (1 .. 600)
    {
        last unless kill 0, $pid;
        select(undef, undef, undef, 0.1);
    }
    wait_for_server();
}

sub equal
{
    my ($where) = @_;
    is(value(q{SELECT zdm.verify('m')}), '0', "$where: old and new are equal");
}

# --- The worker is killed while it copies: the postmaster starts it again, from its cursor.
value(q{SET zdm.pace = '0.05'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'backfill' AND next_block > 100)})
    or die 'the backfill did not begin';
my $before = cursor();
kill_worker();
cmp_ok(cursor(), '>=', $before, 'worker killed in backfill: what was saved is kept');
value('INSERT INTO t (v, pad) VALUES (7, $$written meanwhile$$)');
$node->poll_query_until('postgres', "SELECT max(next_block) > $before + 50 FROM zdm.scan WHERE kind = 'backfill'")
    or die 'the backfill did not go on';
pass('worker killed in backfill: it goes on by itself');

# --- The server is killed while it copies: nothing works until somebody asks.
$before = cursor();
$node->stop('immediate');
$node->start;
cmp_ok(cursor(), '>=', $before - 400, 'server killed in backfill: at most a moment of work is lost');
is(value(q{SELECT state || ' ' || (message LIKE '%zdm.wake()%') || ' ' || next_action FROM zdm.status}),
    'waiting true SELECT zdm.wake()', 'status says that no worker runs and what to do');
is(value('SELECT zdm.wake()'), '1', 'wake counts one unfinished migration');
value(q{SELECT zdm.configure('m', 'pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 120)});
equal('after both');
is(value('SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v'), '0', 'every row is copied');

# --- Cutover, revert and contract, killed at once after they were asked for: all or nothing.
for my $try (1 .. 3)
{
    value(q{SELECT zdm.cutover('m')});
    $node->stop('immediate');
    $node->start;
    my $type = value(q{SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'});
    is($type, phase() eq 'soak' ? 'bigint' : 'integer', "server killed at cutover $try: table and phase agree");
    value('SELECT zdm.wake()');
    value(q{CALL zdm.wait('m', 'soak', 60)});
    equal("soak $try");
    value("INSERT INTO t (v, pad) VALUES ($try, 'in soak')");

    value(q{SELECT zdm.revert('m')});
    $node->stop('immediate');
    $node->start;
    $type = value(q{SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'});
    is($type, phase() eq 'soak' ? 'bigint' : 'integer', "server killed at revert $try: table and phase agree");
    value('SELECT zdm.wake()');
    value(q{CALL zdm.wait('m', 'ready', 60)});
    equal("ready again $try");
}

# --- With preload everything goes on by itself.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'zdm'");
$node->restart;
value(q{SELECT zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 60)});
value(q{SELECT zdm.contract('m')});
$node->stop('immediate');
$node->start;
$node->poll_query_until('postgres', q{SELECT phase = 'done' FROM zdm.migration}) or die 'contract did not go on';
is(value(q{SELECT string_agg(attname || ' ' || format_type(atttypid, NULL), ', ' ORDER BY attname) FROM pg_attribute
            WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped}),
    'id integer, pad text, v bigint', 'preloaded: contract goes on after a crash; nothing of zdm is left');

# --- Killed again and again while it works, build and verify included.
value(q{SET zdm.pace = '0.6'; SELECT zdm.change_type('t', 'v', 'numeric', name => 'm'); SELECT zdm.cutover('m')});
my %seen;
for my $kill (1 .. 20)
{
    select(undef, undef, undef, 0.05 * $kill);
    last if phase() eq 'soak';
    $seen{ phase() } = 1;
    $node->stop('immediate');
    $node->start;
}
note('killed in ' . join(', ', sort keys %seen));
value(q{SELECT zdm.configure('m', 'pace', 'full')});
value(q{CALL zdm.wait('m', 'soak', 120)});
equal('killed again and again');
is(value(q{SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass AND NOT indisvalid}), '0', 'no invalid index is left');
is(value(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND NOT convalidated}), '0', 'no unproved constraint is left');
value(q{SELECT zdm.contract('m')});
value(q{CALL zdm.wait('m', 'done', 60)});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'})
    or die 'the worker stays';
pass('the worker is gone when there is nothing to do');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal 11/, 'no crash of our own in the log');

# --- Its database can be dropped, even by force while it works.
value('CREATE DATABASE other');
$node->safe_psql('other', q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (v integer);
    INSERT INTO t SELECT generate_series(1, 200000)});
$node->safe_psql('other', q{SET zdm.pace = '0.01'; SELECT zdm.change_type('t', 'v', 'bigint')});
$node->poll_query_until('other', 'SELECT zdm.worker_pid() IS NOT NULL') or die 'no worker';
value('DROP DATABASE other WITH (FORCE)');
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'})
    or die 'an orphan worker';
pass('DROP DATABASE WITH (FORCE) leaves no worker behind');
$node->stop;
done_testing();
