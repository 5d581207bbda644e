# Whoever listens to zdm hears of every event, as the table zdm.event has it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off");
$node->start;
my $heard = $node->safe_psql('postgres', q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer);
    LISTEN zdm;
    SELECT zdm.change_type('t', 'v', 'bigint', name => 'm');
    CALL zdm.wait('m', 'ready', 60);
    SELECT 1;
});
my @payloads = $heard =~ /^Asynchronous notification "zdm" with payload "(.*)" received from server process/mg;
cmp_ok(scalar @payloads, '>', 3, 'start and every phase is heard of');
my $same = $node->safe_psql('postgres',
    'SELECT jsonb_agg(to_jsonb(e) - ARRAY[\'id\', \'migration\'] ORDER BY e.id) FROM zdm.event e WHERE name = \'m\'');
is($node->safe_psql('postgres', "SELECT jsonb_agg(p ORDER BY p->>'at') = '$same' FROM unnest(ARRAY[\$\$" . join('$$, $$', @payloads) . "\$\$]::jsonb[]) AS p"),
    't', 'in the words of zdm.event');
$node->stop;
done_testing();
