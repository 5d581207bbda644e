# max_worker_processes is exhausted, and the server crashes on top of it. Nothing happens to the migration but that it
# waits: the sync trigger keeps writes equal, status names the setting, and whoever gives up a slot lets it go on. A worker
# that was killed has its slot back after the crash, even where there is no other one.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use Test::More;

# One slot for zdm: the server's own logical replication launcher has none.
start_server("max_logical_replication_workers = 0\nshared_buffers = 64MB");
node()->append_conf('postgresql.conf', 'max_worker_processes = 1');
node()->restart;
my $table = q{
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0);
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 100000) g};
value($table);
node()->safe_psql('postgres', 'CREATE DATABASE other');
sub other { my ($sql) = @_; return node()->safe_psql('other', $sql); }
other("CREATE EXTENSION zdm; $table");

my $no_slot = q{SELECT state = 'waiting' AND next_action = 'SELECT zdm.wake()'
                       AND message ~ 'every background worker slot is taken \(max_worker_processes = 1\)' FROM zdm.status};
sub waits
{
    my ($where) = @_;
    is(value($no_slot), 't', "$where: it waits, and status names the setting") or diag(status());
    return;
}

# --- Another database's worker has the only slot.
other(q{SET zdm.pace = '0.02'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'first')});
node()->poll_query_until('other', q{SELECT EXISTS (SELECT FROM zdm.scan WHERE next_block > 0)}) or die 'the first does not work';
value(q{SET zdm.pace = '0.02'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
waits('no slot');

# --- It is killed, and takes the slot again when the server has recovered.
my $log = -s node()->logfile;
my $pid = other('SELECT zdm.worker_pid()');
kill 9, $pid;
wake_other();
node()->poll_query_until('other', 'SELECT zdm.worker_pid() IS NOT NULL') or die 'the first does not come back';
isnt(other('SELECT zdm.worker_pid()'), $pid, 'the worker that was killed is back in its slot');
waits('after kill -9');
wake();
waits('woken in vain');

# --- The power goes. Nobody has the slot now: first come, first served.
stop_at_once();
until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE kind = 'backfill' AND next_block > 0)}, 'the backfill');
pass('after a power failure the slot is free, and it works');
is(other($no_slot), 't', 'now the other one waits');

# --- Killed itself, in the only slot that there is.
my $place = value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'});
kill_worker();
until_true('SELECT zdm.worker_pid() IS NOT NULL', 'the worker to come back');
cmp_ok(value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'}), '>=', $place, 'killed: it goes on where it was');
value('UPDATE t SET v = v + 1 WHERE id % 1000 = 0');

# --- Its end gives the slot to whoever asks next.
value(q{SELECT zdm.configure('m', 'pace', 'full'), zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 30)});
is(value(q{SELECT zdm.verify('m')}), '0', 'no row differs');
is(value('SELECT sum(v) - sum(id % 7) FROM t'), '100', 'no write is lost');
until_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'}, 'the worker to leave');
other(q{SELECT zdm.configure('first', 'pace', 'full')});
is(other('SELECT zdm.wake()'), '1', 'the other one is woken');
other(q{CALL zdm.wait('first', 'ready', 30)});
is(other(q{SELECT zdm.verify('first')}), '0', 'and goes on to its end: no row differs');
finish();

# The server answers again.
sub wake_other
{
    until (slurp($log) =~ /database system is ready to accept connections/) { pause(0.1); }
    pause(0.1) until node()->psql('other', 'SELECT zdm.wake()') == 0;
    return;
}
sub slurp { my ($from) = @_; return PostgreSQL::Test::Utils::slurp_file(node()->logfile, $from); }
