# A standby shows the state and refuses to steer; after promotion it goes on by itself where the primary was.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "shared_preload_libraries = 'zdm'\nmax_worker_processes = 16");
$primary->start;
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer, pad text);
    INSERT INTO t SELECT g, g, repeat('x', 100) FROM generate_series(1, 50000) g});
$primary->safe_psql('postgres', q{SET zdm.pace = '0.05'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
$primary->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM zdm.scan WHERE next_block > 20)}) or die 'no backfill';
$primary->wait_for_catchup($standby);

like($standby->safe_psql('postgres', 'SELECT message FROM zdm.status'), qr/standby/, 'the standby shows the state');
my ($code, $out, $err) = $standby->psql('postgres', q{\set VERBOSITY sqlstate
    SELECT zdm.cutover('m')});
like($err, qr/25006/, 'steering is refused on a standby');
($code, $out, $err) = $standby->psql('postgres', q{\set VERBOSITY sqlstate
    SELECT zdm.change_type('t', 'pad', 'varchar')});
like($err, qr/25006/, 'so is starting');

my $before = $standby->safe_psql('postgres', 'SELECT max(next_block) FROM zdm.scan');
$primary->stop('immediate');
$standby->promote;
$standby->poll_query_until('postgres', "SELECT max(next_block) > $before FROM zdm.scan") or die 'it does not go on';
pass('the backfill goes on after promotion, from where it was');
$standby->safe_psql('postgres', q{SELECT zdm.configure('m', 'pace', 'full')});
$standby->safe_psql('postgres', q{CALL zdm.wait('m', 'ready', 120)});
is($standby->safe_psql('postgres', q{SELECT zdm.verify('m')}), '0', 'old and new are equal');
$standby->safe_psql('postgres', q{SELECT zdm.cutover('m')});
$standby->safe_psql('postgres', q{CALL zdm.wait('m', 'soak', 60)});
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t WHERE v <> id'), '0', 'nothing is lost');
done_testing();
