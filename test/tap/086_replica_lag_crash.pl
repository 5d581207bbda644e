# A standby does not replay, the backfill stands for it (060_replica_lag.pl has that story), and the primary crashes. Until
# the standby has connected again there is no lag to be seen: the backfill stands all the same, and the lag stays what it
# was. It goes on by itself when the standby replays.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use PostgreSQL::Test::Cluster;
use Test::More;

start_server("wal_keep_size = '256MB'\nsynchronous_commit = local", allows_streaming => 1);
value(q{
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 300000) g});
value('VACUUM ANALYZE t');
node()->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup(node(), 'backup', has_streaming => 1);
# It takes its time to come back.
$standby->append_conf('postgresql.conf', "wal_retrieve_retry_interval = '3s'");
$standby->start;
node()->wait_for_catchup($standby);

my $mb = 1024 * 1024;
# A standby that is not connected lags as well, so it is asked itself.
sub lag { return (value(q{SELECT pg_current_wal_insert_lsn() - '0/0'}) - $standby->safe_psql('postgres', q{SELECT pg_last_wal_replay_lsn() - '0/0'})) / $mb; }
my $stands = q{SELECT state = 'waiting' AND message ~ '^replica lag [0-9.]+ MB of standby standby \(zdm\.max_replica_lag_size 2\.0 MB\)$' FROM zdm.status};

my $place = q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'};
my $connected = q{SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'};
value(q{
    SET zdm.max_replica_lag_size = '2MB'; SET zdm.max_replica_lag = '1h'; SET zdm.pace = 'full'; SET zdm.max_wal_rate = '4MB';
    SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
for my $crash ('kill -9 of the worker', 'power failure')
{
    $standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
    until_true($stands, 'the backfill to stop');
    my $at = value($place);
    my $standing = lag();
    cmp_ok($standing, '>', 2, "$crash: it stands when it comes");
    cmp_ok($standing, '<', 5 * 2 + 2, sprintf('at no more than five times the budget, or what a pass writes between two looks (%.1f MB)', $standing));
    $crash =~ /kill/ ? kill_worker() : stop_at_once();
    until_true('SELECT zdm.worker_pid() IS NOT NULL', 'a worker');
    # A standby that does not replay does not ask for a new connection either.
    is(value('SELECT count(*) FROM pg_stat_replication'), '0', "$crash: the standby is not back");
    pause(1.5);
    is(value($place), $at, "$crash: nothing moves before the standby is back");
    is(value($stands), 't', "$crash: for the same reason as before");
    # What recovery, status and the test itself have written is in it as well.
    cmp_ok(lag(), '<', $standing + 1, sprintf("$crash: the lag stays as it was (%.1f MB)", lag()));
    value('UPDATE t SET v = v + 1 WHERE id % 1000 = 0');
    $standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
    until_true($connected, 'the standby');
    until_true("SELECT state = 'running' AND ($place) > $at FROM zdm.status", 'the backfill to go on');
    pass("$crash: it goes on by itself when the standby replays");
}
value(q{SELECT zdm.configure('m', 'max_wal_rate', '0'), zdm.configure('m', 'max_replica_lag_size', '0')});
value(q{CALL zdm.wait('m', 'ready', 30)});
is(value(q{SELECT zdm.verify('m')}), '0', 'no row differs');
is(value('SELECT sum(v) - sum(id % 7) FROM t'), '600', 'no write is lost');
node()->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v'), '0', 'nor on the standby');
$standby->stop;
finish();
