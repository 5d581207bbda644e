# A standby stops replaying in the middle of a backfill: the backfill slows down, and stops where the lag is five times
# the budget, whoever wrote that much; it says which standby it is, and goes on by itself when the standby does.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off\nwal_keep_size = '512MB'");
$primary->start;
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub value { my ($sql) = @_; return $primary->safe_psql('postgres', $sql); }
sub lag { return value('SELECT pg_current_wal_insert_lsn() - replay_lsn FROM pg_stat_replication'); }

my $rows = 300000;
value(qq{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t (v) SELECT g % 1000 FROM generate_series(1, $rows) g;
    CREATE INDEX t_v ON t (v);
    CREATE TABLE other (v text);
    VACUUM ANALYZE t});
$primary->wait_for_catchup($standby);

# --- By size: 4 MB of WAL, 20 MB at the very most, and what a pass writes between two looks at it.
my $budget = 4 * 1024 * 1024;
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
value(q{
    SET zdm.max_replica_lag_size = '4MB'; SET zdm.max_replica_lag = '1h';
    SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
$primary->poll_query_until('postgres', q{SELECT throttled_by ~ 'replica lag' FROM zdm.status}) or die 'not throttled';
$primary->poll_query_until('postgres', "SELECT pg_current_wal_insert_lsn() - replay_lsn > $budget FROM pg_stat_replication")
    or die 'it does not go on above the budget';
my $most = 0;
for (my $until = time + 3; time < $until;) {
    my $lag = lag();
    $most = $lag if $lag > $most;
}
cmp_ok($most, '<', 5 * $budget + 2 * 1024 * 1024, 'it goes on above the budget, but not above five times of it');
value(q{INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 20000)});
$primary->poll_query_until('postgres', q{SELECT state = 'waiting' FROM zdm.status}) or die 'it does not stop';
my $stopped_at = lag();
like(value('SELECT message FROM zdm.status'), qr/^replica lag [0-9.]+ MB of standby standby \(zdm\.max_replica_lag_size 4\.0 MB\)$/,
    'at five times the budget it waits, and says for whom');
like(value('SELECT throttled_by FROM zdm.status'), qr/^replica lag/, 'throttled_by says the same');
is(value(q{SELECT level || ' ' || signal FROM zdm.pacing}), 'stop replica_lag', 'the level is in zdm.pacing');
my $place = value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'});
sleep 2;
is(value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'}), $place, 'nothing moves meanwhile');
# What is written down about the wait itself is a little more WAL.
cmp_ok(lag(), '<', $stopped_at + 1024 * 1024, 'and the lag stays as it is');
value('UPDATE t SET v = v + 1 WHERE id % 1000 = 0');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->poll_query_until('postgres', q{SELECT state = 'running' FROM zdm.status}) or die 'it does not go on';
pass('the standby replays again: it goes on by itself');
is(value(q{SELECT count(*) > 0 FROM zdm.event WHERE event = 'waiting' AND detail->>'message' ~ 'replica lag'}), 't',
    'the event log keeps it');

# --- By time: the limit is changed while it runs.
value(q{SELECT zdm.configure('m', 'max_replica_lag', '200ms'), zdm.configure('m', 'max_replica_lag_size', '0'), zdm.configure('m', 'pace', 'auto')});
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
my $began = time;
$primary->poll_query_until('postgres', q{SELECT state = 'waiting' OR phase = 'ready' FROM zdm.status}) or die 'it does not stop';
SKIP: {
    skip 'the backfill was faster', 2 if value('SELECT phase FROM zdm.status') eq 'ready';
    cmp_ok(time - $began, '<', 5, 'it stops about a second after the standby');
    like(value('SELECT message FROM zdm.status'), qr/^replica lag [0-9.]+ m?s of standby standby \(zdm\.max_replica_lag 200 ms\)$/,
        'the message names time, standby and setting');
}
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
value(q{SELECT zdm.configure('m', 'max_replica_lag', NULL)});
$primary->poll_query_until('postgres', q{SELECT phase = 'ready' AND state = 'idle' FROM zdm.status}) or die 'not ready';
pass('it becomes ready');
is(value('SELECT throttled_by IS NULL FROM zdm.status'), 't', 'and nothing holds it back');
is(value('SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v'), '0', 'every row is copied');
is(value("SELECT count(*) FROM t WHERE v <> id % 1000 + (id % 1000 = 0)::integer"), '0', 'no write is lost');

# --- A standby that is fine holds nothing back, and one that is gone neither.
$standby->stop;
value(q{SET zdm.pace = 'full'; SELECT zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 30)});
pass('without standby it goes on');
$primary->stop;
done_testing();
