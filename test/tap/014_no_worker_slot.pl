# Every background worker slot is taken. Starting a migration still succeeds, the state says what it waits for and
# names the setting, and zdm.wake() starts the work when there is room again.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# The one slot goes to the server's own logical replication launcher.
$node->append_conf('postgresql.conf', "max_worker_processes = 1\nautovacuum = off");
$node->start;

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'logical replication launcher')})
    or die 'no logical replication launcher';

value(q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL);
    INSERT INTO t (v) SELECT generate_series(1, 1000)});
is(value(q{SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')}), 'm', 'the call succeeds');
is(value('SELECT phase FROM zdm.status'), 'queued', 'nothing happens');
is(value('SELECT state FROM zdm.status'), 'waiting', 'the state is waiting');
like(value('SELECT message FROM zdm.status'), qr/max_worker_processes = 1/, 'the message names the setting and its value');
is(value('SELECT next_action FROM zdm.status'), 'SELECT zdm.wake()', 'and what to do');
is(value('SELECT worker_up FROM zdm.metrics'), '0', 'exporters see that no worker is up');
is(value('SELECT zdm.wake()'), '1', 'wake without a slot is no error');
is(value('SELECT state FROM zdm.status'), 'waiting', 'and changes nothing');
my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL zdm.wait('m', 'ready', 1)");
like($err, qr/ZD006: .*max_worker_processes = 1/, 'a wait times out with the same reason');
# Writes go on meanwhile, and steering is accepted.
value('INSERT INTO t (v) VALUES (1001)');
is(value(q{SELECT zdm.cutover('m')}), 'soak', 'cutover can be asked for already');
is(value('SELECT phase || state FROM zdm.status'), 'queuedwaiting', 'still nothing happens');

$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
is(value('SELECT state FROM zdm.status'), 'waiting', 'after the restart nobody works yet');
is(value('SELECT zdm.wake()'), '1', 'wake');
value(q{CALL zdm.wait('m', 'soak', 60)});
is(value(q{SELECT phase || ' ' || state FROM zdm.status}), 'soak idle', 'with a free slot it goes on to its target');
is(value(q{SELECT zdm.verify('m')}), '0', '0 discrepancies');
is(value('SELECT zdm.wake()'), '1', 'an idle migration is still unfinished');
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'})
    or die 'the worker stays';
value(q{SELECT zdm.contract('m')});
value(q{CALL zdm.wait('m', 'done', 60)});
is(value('SELECT zdm.wake()'), '0', 'a finished one is not counted');

# --- Preloaded and no room: the launcher has the only slot that is left, and the server starts all the same.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'zdm'\nmax_worker_processes = 1\nmax_logical_replication_workers = 0");
$node->restart;
value(q{SELECT zdm.change_type('t', 'v', 'numeric', name => 'preloaded')});
like(value(q{SELECT message FROM zdm.status WHERE name = 'preloaded'}), qr/max_worker_processes = 1/, 'preloaded: the same reason');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
$node->poll_query_until('postgres', q{SELECT phase = 'ready' FROM zdm.status WHERE name = 'preloaded'})
    or die 'the launcher did not start the work';
pass('preloaded: with a free slot it goes on by itself');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no crash');
$node->stop;
done_testing();
