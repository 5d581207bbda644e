# Beside others a pass makes the next file of WAL before anybody needs it: else a commit of the application would, while
# all others wait for it. Whoever makes one and is ended leaves nothing behind.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# No checkpoint makes or recycles a file meanwhile.
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off\nmax_wal_size = 8GB\ncheckpoint_timeout = 1h");
$node->start;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub until_true { my ($sql, $name) = @_; ok($node->poll_query_until('postgres', $sql), $name); }
value(q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL, n integer DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 400000) g});
my $next = q{pg_walfile_name(pg_current_wal_insert_lsn() + 16777216) IN (SELECT name FROM pg_ls_waldir())};
my $unfinished = q{EXISTS (SELECT FROM pg_ls_dir('pg_wal') AS file WHERE file LIKE 'xlogtemp.%')};

my $script = $node->basedir . '/load.sql';
append_to_file($script, "\\set id random(1, 400000)\nUPDATE t SET n = n + 1 WHERE id = :id;\nSELECT n FROM t WHERE id = :id;\n");
my ($out, $err) = ('', '');
local %ENV = $node->_get_env();
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-j', '1', '-R', '300', '-T', '600', '-f', $script, 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM t WHERE n > 0)}) or die 'no load';
is(value("SELECT $next"), 'f', 'the load has no file but the one that it writes to');

# --- Slowly enough to watch it.
value(q{SET zdm.max_wal_rate = '4MB'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
value(qq{SET statement_timeout = '60s'; DO \$\$ BEGIN WHILE NOT $unfinished LOOP PERFORM pg_sleep(0.001); END LOOP; END \$\$});
my $worker = value(q{SELECT zdm.worker_pid()});
value(qq{SELECT pg_terminate_backend($worker, 60000)});
is(value(qq{SELECT EXISTS (SELECT FROM pg_ls_dir('pg_wal') AS file WHERE file = 'xlogtemp.zdm.$worker')}), 'f',
    'a worker that is ended takes the file away that it has begun');

value('SELECT zdm.wake()');
until_true("SELECT $next", 'the next one makes one, and the application finds it');

value(q{SELECT zdm.configure('m', 'max_wal_rate', NULL)});
value(q{CALL zdm.wait('m', 'ready', 60)});
$load->signal('ALRM');
$load->finish;
like($out, qr/number of failed transactions: 0 /, 'nobody has failed') or diag($err);
value(q{SELECT zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 60)});
value(q{SELECT zdm.contract('m')});
value(q{CALL zdm.wait('m', 'done', 60)});
until_true('SELECT zdm.worker_pid() IS NULL', 'the worker has gone');
is(value("SELECT $unfinished"), 'f', 'and has left no file behind');
done_testing();
