# Every background worker slot is taken: the call succeeds, status says so, and zdm.wake() starts the work later.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 0\nmax_parallel_workers = 0\nmax_logical_replication_workers = 0");
$node->start;
$node->safe_psql('postgres', q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (v integer);
    INSERT INTO t SELECT generate_series(1, 100)});
is($node->safe_psql('postgres', q{SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')}), 'm', 'the call succeeds');
is($node->safe_psql('postgres', 'SELECT state FROM zdm.status'), 'waiting', 'it waits');
like($node->safe_psql('postgres', 'SELECT message FROM zdm.status'), qr/max_worker_processes = 0/, 'and says what for');
my ($code, $out, $err) = $node->psql('postgres', q{CALL zdm.wait('m', 'ready', 1)});
like($err, qr/did not reach phase ready within 1 s.*max_worker_processes/, 'so does a wait that times out');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
is($node->safe_psql('postgres', 'SELECT zdm.wake()'), '1', 'wake');
$node->safe_psql('postgres', q{CALL zdm.wait('m', 'ready', 60)});
is($node->safe_psql('postgres', q{SELECT state || ' ' || phase FROM zdm.status}), 'idle ready', 'with a free slot it works');
$node->stop;
done_testing();
