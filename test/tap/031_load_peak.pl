# pgbench as fast as it can, on the very column that a migration changes at full speed, while two clients keep rows here
# and there locked for a moment: the backfill always finds some rows held. It has to come to its end under that, over and
# over; no transaction fails, no row differs, no update is lost. Once with room on every page, where it passes quickly by
# what is held and has to come back; once with full pages, where what it needs is dead rows that can be pruned, and
# others use up the room that pruning makes.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;
use Time::HiRes qw(time);

my $scale = 5;
my $seconds = 30;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nshared_buffers = 256MB\nmax_wal_size = 4GB");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION zdm');
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

my $holding = PostgreSQL::Test::Utils::tempdir() . '/holding.sql';
append_to_file($holding, <<'SQL');
\set aid random(1, 100000 * :scale)
BEGIN;
SELECT count(*) FROM (SELECT FROM pgbench_accounts WHERE aid BETWEEN :aid AND :aid + 20000 AND aid % 100 = :aid % 100
                       ORDER BY aid FOR UPDATE) locked;
\sleep 50 ms
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, 1, now());
COMMIT;
SQL

local %ENV = $node->_get_env();
sub start_load
{
    my %load = (out => '', err => '');
    $load{handle} = IPC::Run::start([ 'pgbench', '-n', '-T', $seconds, '--max-tries=1', '-M', 'prepared', @_, 'postgres' ],
        '<', \undef, '>', \$load{out}, '2>', \$load{err});
    return \%load;
}

sub check_load
{
    my ($name, $load) = @_;
    $load->{handle}->finish;
    is($load->{handle}->result(0), 0, "$name ended well") or diag($load->{err});
    like($load->{out}, qr/number of failed transactions: 0 /, "$name: no transaction failed")
      or diag("$load->{out}\n$load->{err}");
    note("$name: $1") if $load->{out} =~ /(tps = [\d.]+)/;
}

# True: ready within 20 s.
sub migrate
{
    my ($m) = @_;
    my ($phase, $until) = ('', time + 20);
    value("SET zdm.pace = 'full'; SELECT zdm.change_type('pgbench_accounts', 'abalance', 'bigint', name => '$m')");
    while ($phase ne 'ready' && time < $until)
    {
        select(undef, undef, undef, 0.1);
        $phase = value("SELECT phase FROM zdm.status WHERE name = '$m'");
    }
    return 1 if is($phase, 'ready', "$m: ready under load");
    diag(value(qq{SELECT format('%s: "%s"; at block %s of %s, %s blocks busy', m.state, message, next_block, blocks,
                                cardinality(busy_blocks))
                    FROM zdm.migration m JOIN zdm.scan s ON s.migration = m.id WHERE name = '$m' AND s.kind = 'backfill'}));
    return 0;
}

for my $fillfactor (50, 100)
{
    $node->command_ok([ 'pgbench', '-i', '-q', '-s', $scale, '-F', $fillfactor, 'postgres' ], "tables, fillfactor $fillfactor");
    my $began = time;
    my $peak = start_load('-b', 'simple-update', '-c', '4', '-j', '2');
    my $holders = start_load('-f', $holding, '-s', $scale, '-c', '2', '-j', '1');
    my ($rounds, $first) = (0, 0);
    while (time - $began < $seconds * 0.3)
    {
        my $m = $fillfactor . '/' . ++$rounds;
        migrate($m) or last;
        $first ||= time - $began;
        is(value("SELECT zdm.verify('$m')"), '0', "$m: no row differs");
        value("SELECT zdm.abort('$m')");
        # Beside fifty clients that are late an attempt for the lock may fail many times, and the next be half a minute away.
        value("CALL zdm.wait('$m', 'aborted', 180)");
    }
    cmp_ok($first, '<', $seconds, "$rounds migrations, the first of them under load from its beginning to its end");
    check_load('load at its peak', $peak);
    check_load('load that locks rows', $holders);
    is(value('SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)'), 't',
        'no update is lost');
}
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
$node->stop;
done_testing();
