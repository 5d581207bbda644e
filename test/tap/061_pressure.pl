# Pressure from all sides: fifty writers on ten rows, a session that wants the table for itself, and an archive that
# takes nothing. Nobody fails, nobody waits for long, nothing is lost, and status says what holds the backfill back.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Time::HiRes qw(time);
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nmax_connections = 80\nautovacuum = off\n"
    . "wal_level = replica\narchive_mode = on\narchive_command = 'true'\nlog_lock_waits = on\nfsync = off");
$node->start;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
value(q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 100000) g;
    VACUUM ANALYZE t});

# --- Fifty writers on ten rows.
my $script = $node->basedir . '/hot_rows.sql';
append_to_file($script, "\\set id random(1, 10)\nUPDATE t SET v = v + 1 WHERE id = :id;\n");
my ($out, $err) = ('', '');
local %ENV = $node->_get_env();
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '50', '-j', '1', '-R', '300', '-T', '8', '-f', $script, 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);
$node->poll_query_until('postgres', q{SELECT sum(v) > 50 FROM t WHERE id <= 10}) or die 'no load';
value(q{SET zdm.pace = '0.1'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM zdm.scan WHERE next_block > 0)}) or die 'no backfill';

# --- A session that wants the table for itself.
my $longest = 0;
for my $round (1 .. 3)
{
    my $began = time;
    value('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; COMMIT');
    $longest = time - $began if time - $began > $longest;
}
cmp_ok($longest, '<', 2, 'who wants the table exclusively gets it between two batches, beside fifty writers');
is(value(q{SELECT state IN ('running', 'waiting', 'idle') FROM zdm.status}), 't', 'the backfill has stepped aside, not failed');

# --- An archive that takes nothing.
value(q{SELECT zdm.configure('m', 'max_archive_backlog', '1'), zdm.configure('m', 'pace', 'auto'), zdm.configure('m', 'max_wal_rate', '2MB')});
$node->append_conf('postgresql.conf', "archive_command = 'false'");
$node->reload;
$node->poll_query_until('postgres', q{SELECT throttled_by LIKE 'archiving fails: %' OR phase = 'ready' FROM zdm.status}) or die 'not throttled';
$node->poll_query_until('postgres', q{SELECT state = 'waiting' AND message LIKE 'archiving fails: %' OR phase = 'ready' FROM zdm.status})
    or die 'it does not stop';
like(value('SELECT message FROM zdm.status'), qr/^archiving fails: \d+ WAL segments wait \(zdm\.max_archive_backlog 1\)$/,
    'it stops at five times the backlog and says why');
$node->append_conf('postgresql.conf', "archive_command = 'true'");
$node->reload;
value(q{SELECT zdm.configure('m', 'max_wal_rate', NULL)});
$node->poll_query_until('postgres', q{SELECT state <> 'waiting' FROM zdm.status}) or die 'it does not go on';
pass('the archive takes again: it goes on by itself');

$load->finish;
is($load->result(0), 0, 'pgbench ended well') or diag($err);
like($out, qr/number of failed transactions: 0 /, 'no transaction failed') or diag("$out\n$err");
my ($written) = $out =~ /number of transactions actually processed: (\d+)/;
value(q{CALL zdm.wait('m', 'ready', 30)});
is(value('SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v'), '0', 'every row is copied');
is(value('SELECT sum(v) - sum(id % 7) FROM t'), $written, 'no write is lost');
my $log = slurp_file($node->logfile);
unlike($log, qr/deadlock detected/, 'no deadlock');
unlike($log, qr/PANIC|TRAP|was terminated by signal/, 'no crash');
$node->stop;
done_testing();
