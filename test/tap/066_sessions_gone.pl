# Eight sessions work at the same time and end. The server is idle then, and a migration has all of it: what they leave
# behind in their slots of shared memory is not taken for sessions at work.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use List::Util qw(max);
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off");
$node->start;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
value(q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g, g FROM generate_series(1, 300000) g;
    VACUUM ANALYZE t});

my $script = $node->basedir . '/at_once.sql';
append_to_file($script, "SELECT pg_sleep(0.5);\n");
$node->command_ok([ 'pgbench', '-n', '-c', '8', '-t', '2', '-f', $script, 'postgres' ], 'eight sessions at once');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'})
    or die 'they do not end';

value(q{SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
my @seen = (0);
$node->poll_query_until('postgres', q{SELECT rows_per_second > 0 FROM zdm.status}) or die 'no backfill';
my $ready = 0;
for (1 .. 3000)
{
    my ($phase, $throttled_by) = split /\|/, value(q{SELECT phase, throttled_by FROM zdm.status}), 2;
    push @seen, $1 if $throttled_by =~ /^([\d.]+) sessions at work/;
    last if $ready = $phase eq 'ready';
}
ok($ready, 'it is ready');
cmp_ok(max(@seen), '<', 4, 'the session that looks is at work, those that have ended are not');
$node->stop;
done_testing();
