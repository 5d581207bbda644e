# zdm.max_workers: several processes on disjoint ranges of one table, under load, killed, stopped and let go.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 6\nrestart_after_crash = on\nautovacuum = off\nshared_buffers = 128MB");
$node->start;

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub pause { my ($seconds) = @_; select(undef, undef, undef, $seconds); return; }
sub until_true
{
    my ($sql, $what) = @_;
    $node->poll_query_until('postgres', $sql) or die "waited in vain for $what: " . value('SELECT * FROM zdm.status; SELECT * FROM zdm.scan; SELECT pid, backend_type, state, query FROM pg_stat_activity');
    return;
}

my $helpers = q{(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'zdm helper')};
sub until_helpers
{
    my ($count) = @_;
    until_true("SELECT $helpers = $count AND (SELECT count(*) FROM zdm.scan WHERE NOT done AND next_block > first_block) > $count",
        "$count helpers at work");
    return;
}

sub kill_one
{
    my ($type) = @_;
    my $log = -s $node->logfile;
    kill 9, value("SELECT min(pid) FROM pg_stat_activity WHERE backend_type = '$type'");
    my $attempt = 0;
    until (slurp_file($node->logfile, $log) =~ /ready to accept connections/)
    {
        die 'the server does not recover' if ++$attempt > 600;
        pause(0.1);
    }
    pause(0.1) until $node->psql('postgres', 'SELECT zdm.wake()') == 0;
    return;
}

value('CREATE EXTENSION zdm');
$node->command_ok([ 'pgbench', '-i', '-q', '-s', '6', 'postgres' ], 'pgbench tables');
value('CREATE INDEX abalance ON pgbench_accounts (abalance)');

# --- Under load: ranges that do not overlap and leave nothing out, rows that are all done
local %ENV = $node->_get_env();
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-R', '150', '-T', '20', '--max-tries=1', 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);
my $start = q{SELECT zdm.change_type('pgbench_accounts', 'abalance', 'bigint', name => 'm')};
value("SET zdm.pace = '0.3'; SET zdm.max_workers = 3; $start");
until_helpers(2);
is(value(q{SELECT count(*) FROM pg_stat_activity WHERE query ~ '^zdm backfill of public.pgbench_accounts, blocks \d+ to \d+$'}), '3',
    'each shows its range');
is(value(q{SELECT count(*) FROM zdm.scan a JOIN zdm.scan b ON a.number < b.number AND a.first_block < b.blocks AND b.first_block < a.blocks}), '0',
    'no two ranges overlap');
is(value(q{SELECT min(first_block) = 0 AND sum(blocks - first_block) = max(blocks) FROM zdm.scan}), 't', 'and nothing is left out');
is(value(q{SELECT progress BETWEEN 0 AND 1 AND rows_total BETWEEN 400000 AND 800000 FROM zdm.status}), 't', 'status adds them up');

# --- Fewer of them, from the next box on; and none while it is paused
value(q{SELECT zdm.configure('m', 'zdm.pace', '0.02'), zdm.configure('m', 'zdm.max_workers', '2')});
until_helpers(1);
value(q{SELECT zdm.configure('m', 'zdm.max_workers', '1')});
until_true("SELECT $helpers = 0", 'no helper');
value(q{SELECT zdm.configure('m', 'zdm.max_workers', '3')});
until_helpers(2);
value(q{SELECT zdm.pause('m')});
until_true("SELECT $helpers = 0 AND zdm.worker_pid() IS NULL", 'everybody gone while it is paused');
value(q{SELECT zdm.resume('m')});
until_helpers(2);
value(q{SELECT zdm.configure('m', 'zdm.pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 60)});
is(value(q{SELECT zdm.verify('m')}), '0', 'no row differs');
is(value("SELECT $helpers"), '0', 'no helper stays');
$load->finish;
is($load->result(0), 0, 'pgbench ended well') or diag($err);
like($out, qr/number of failed transactions: 0 /, 'no transaction failed') or diag("$out\n$err");
unlike(slurp_file($node->logfile), qr/deadlock detected|ERROR/, 'and no process met an error');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});

# --- A helper killed, the worker killed, the server stopped: nobody begins anew
for my $victim ('zdm helper', 'zdm worker', 'server')
{
    value("SET zdm.pace = '0.2'; SET zdm.max_workers = 3; $start");
    until_helpers(2);
    my $done = value(q{SELECT sum(next_block - first_block) FROM zdm.scan WHERE kind = 'backfill'});
    if ($victim eq 'server')
    {
        $node->stop('immediate');
        $node->start;
        value('SELECT zdm.wake()');
    }
    else { kill_one($victim); }
    cmp_ok(value(q{SELECT sum(next_block - first_block) FROM zdm.scan WHERE kind = 'backfill'}), '>=', $done, "$victim killed: all cursors are kept");
    until_helpers(2);
    value(q{SELECT zdm.configure('m', 'zdm.pace', 'full')});
    value(q{CALL zdm.wait('m', 'ready', 60)});
    is(value(q{SELECT zdm.verify('m')}), '0', "$victim killed: no row differs");
    value(q{SELECT zdm.abort('m')});
    value(q{CALL zdm.wait('m', 'aborted', 60)});
}

# --- Aborted in the middle: the columns go from under the helpers
value("SET zdm.pace = '0.2'; SET zdm.max_workers = 3; $start");
until_helpers(2);
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});
until_true("SELECT $helpers = 0", 'no helper after abort');
is(value(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'pgbench_accounts'::regclass AND attname LIKE 'zdm%'}), '0', 'aborted: as it was');

# --- Aborted while helpers are in a long pause, and begun anew on the same column: the new column's name is the former's,
# and nothing is written any more by the former expression
value("SET zdm.pace = '0.01'; SET zdm.max_workers = 3; $start");
until_helpers(2);
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});
value(q{SET zdm.pace = '0.01'; SELECT zdm.change_type('pgbench_accounts', 'abalance', 'bigint', '7 - abalance::bigint', '(7 - abalance)::integer', name => 'm')});
until_true("SELECT $helpers = 0 AND (SELECT sum(rows_done) FROM zdm.scan s JOIN zdm.migration m ON m.id = s.migration AND m.phase = 'backfill') > 0",
    'the former helpers gone, the new worker at work');
is(value(q{SELECT count(*) FROM pgbench_accounts WHERE zdm_new_abalance <> 7 - abalance}), '0', 'no value of the former expression');
value(q{SELECT zdm.configure('m', 'zdm.pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 60)});
is(value(q{SELECT zdm.verify('m')}), '0', 'begun anew: no row differs');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});

# --- Without their worker they leave, long before the postmaster starts it again; then all goes on
value("SET zdm.pace = '0.02'; SET zdm.max_workers = 3; $start");
until_helpers(2);
my ($worker, $before) = split /\|/, value('SELECT zdm.worker_pid(), string_agg(pid::text, \',\') FROM pg_stat_activity WHERE backend_type = \'zdm helper\'');
value("SELECT pg_terminate_backend($worker)");
until_true("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid IN ($before))", 'the helpers gone');
isnt(value('SELECT zdm.worker_pid()'), $worker, 'the worker gone, its helpers gone with it');
value('SELECT zdm.wake()');
until_helpers(2);
value(q{SELECT zdm.configure('m', 'zdm.pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 60)});
is(value(q{SELECT zdm.verify('m')}), '0', 'the worker gone: no row differs');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});

# --- More than there are slots: those that there are. Each takes range after range, which makes no speed of its own
value("SET zdm.pace = '0.2'; SET zdm.max_workers = 20; $start");
until_true("SELECT $helpers BETWEEN 2 AND 5", 'as many helpers as fit');
until_true("SELECT round((0.2 / duty)::numeric) = 1 + $helpers FROM zdm.pacing p JOIN zdm.migration m ON m.id = p.migration AND m.phase = 'backfill'", 'the share of the time divided among those that are at work');
until_true("SELECT count(*) > 6 FROM zdm.scan WHERE rows_done > 0", 'more ranges than processes');
value(q{SELECT zdm.pause('m')});
until_true("SELECT $helpers = 0 AND zdm.worker_pid() IS NULL", 'everybody gone while it is paused');
is(value(q{SELECT round(u.rows_per_second) = round((SELECT sum(s.rows_done) / sum(s.busy_seconds) FROM zdm.scan s JOIN zdm.migration m ON m.id = s.migration WHERE m.phase = 'backfill')) FROM zdm.status u WHERE u.name = 'm' AND u.phase = 'backfill'}),
    't', 'status counts the seconds of every range');
value(q{SELECT zdm.resume('m')});
value(q{SELECT zdm.configure('m', 'zdm.pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 60)});
is(value(q{SELECT zdm.verify('m')}), '0', 'no slot left: no row differs');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});

# --- They are not in the way of DROP DATABASE
value('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION zdm; CREATE TABLE t AS SELECT g AS v, g AS w FROM generate_series(1, 300000) g');
$node->safe_psql('other', q{SET zdm.max_workers = 3; SELECT zdm.change_type('t', 'v', 'bigint')});
$node->safe_psql('other', q{CALL zdm.wait('public.t.v', 'ready', 60)});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'other'}) or die 'somebody stays';
value('DROP DATABASE other');
pass('the database could be dropped');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal (4|6|7|8|11)\b/, 'nobody crashed but by our hand');
$node->stop;
done_testing();
