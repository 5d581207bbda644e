# pgbench through the whole life of a migration of the column that it updates: no transaction fails, no row differs in
# any phase, no update is lost.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nshared_buffers = 128MB\nlog_lock_waits = on\ndeadlock_timeout = 1s");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION zdm');
$node->command_ok([ 'pgbench', '-i', '-q', '-s', '3', 'postgres' ], 'pgbench tables');
$node->safe_psql('postgres', 'CREATE INDEX abalance ON pgbench_accounts (abalance)');

my ($out, $err) = ('', '');
local %ENV = $node->_get_env();
my $load = IPC::Run::start(
    [ 'pgbench', '-n', '-c', '4', '-j', '1', '-R', '400', '-T', '600', '--max-tries=1', '-M', 'simple', 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);

my $m = 'public.pgbench_accounts.abalance';
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub reach
{
    my ($phase) = @_;
    value("CALL zdm.wait('$m', '$phase', 120)");
    is(value("SELECT zdm.verify('$m')"), '0', "$phase: no row differs");
}
value("SELECT zdm.change_type('pgbench_accounts', 'abalance', 'bigint')");
reach('ready');
for my $round (1 .. 3)
{
    value("SELECT zdm.cutover('$m')");
    reach('soak');
    select(undef, undef, undef, 2);
    value("SELECT zdm.revert('$m')");
    reach('ready');
    select(undef, undef, undef, 2);
}
value("SELECT zdm.cutover('$m')");
reach('soak');
value("SELECT zdm.contract('$m')");
value("CALL zdm.wait('$m', 'done', 60)");
# And once more, aborted in the middle.
value("SET zdm.pace = '0.2'; SELECT zdm.change_type('pgbench_accounts', 'abalance', 'numeric', name => 'again')");
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM zdm.scan WHERE next_block > 50 AND NOT done)}) or die 'no backfill';
value("SELECT zdm.abort('again')");
value("CALL zdm.wait('again', 'aborted', 60)");

ok($load->pumpable, 'all of it under load');
$load->signal('ALRM');
$load->finish;
is($load->result(0), 0, 'pgbench ended well') or diag($err);
like($out, qr/number of failed transactions: 0 /, 'no transaction failed') or diag("$out\n$err");
is(value('SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)'), 't',
    'no update is lost');
is(value(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'pgbench_accounts'::regclass AND attname LIKE 'zdm%'}), '0',
    'nothing of zdm is left on the table');
my $log = slurp_file($node->logfile);
unlike($log, qr/deadlock detected/, 'no deadlock');
note(value(q{SELECT format('longest hold %s ms, longest wait %s ms', max(longest_hold_ms), max(longest_wait_ms)) FROM zdm.step}));
$node->stop;
done_testing();
