# Fifty writers on ten rows of a larger table, and they stay through backfill, index, verify, cutover, revert and cutover
# again. Nobody fails, nobody is in a deadlock, every write counts once. Then the same with the worker killed and the
# power gone under them: what was answered as committed is there, on both sides.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use Test::More;

start_server("shared_buffers = 128MB\nsynchronous_commit = on");
value(q{
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g FROM generate_series(1, 100000) g;
    CREATE INDEX t_v ON t (v);
    CREATE TABLE history (id integer, at timestamptz DEFAULT clock_timestamp())});
value('VACUUM ANALYZE t');

# One statement of the application, good before cutover and after it.
my $writes = "\\set id random(1, 10) * 9999\n"
    . "WITH h AS (INSERT INTO history (id) VALUES (:id)) UPDATE t SET v = v + 1 WHERE id = :id;\n";
sub writers { my ($name) = @_; return start_writers($name, $writes, '-c', '50', '-R', '500', '-M', 'prepared'); }
sub until_busy { until_true('SELECT count(*) > 100 FROM history WHERE at > clock_timestamp() - interval \'1 s\'', 'a load'); return; }
sub equal
{
    my ($where) = @_;
    is(value(q{SELECT zdm.verify('m')}), '0', "$where: no row differs");
    is(value('SELECT (SELECT sum(v) FROM t) - (SELECT count(*) FROM history)'), '0', "$where: every write counts once");
    return;
}
sub migrate
{
    my ($name) = @_;
    value("SET zdm.pace = '$_[1]'; SELECT zdm.change_type('t', 'v', '$_[2]', name => '$name')");
    return;
}

# --- All the way.
my $writers = writers('all_the_way');
until_busy();
migrate('m', 'full', 'bigint');
value(q{CALL zdm.wait('m', 'ready', 30)});
pass('ready beside fifty writers');
is(value(q{SELECT zdm.verify('m')}), '0', 'ready: no row differs');
for my $step ([ 'cutover', 'soak' ], [ 'revert', 'ready' ], [ 'cutover', 'soak' ])
{
    my ($ask, $phase) = @$step;
    value("SELECT zdm.$ask('m')");
    value("CALL zdm.wait('m', '$phase', 30)");
    until_busy();
    pass("$ask beside fifty writers");
}
value(q{SELECT zdm.contract('m', force => true)});
value(q{CALL zdm.wait('m', 'done', 30)});
pass('contract beside fifty writers');
my $count = end_writers($writers);
is(value('SELECT count(*) FROM history'), $count, 'each transaction has left its mark');
is(value('SELECT (SELECT sum(v) FROM t) - (SELECT count(*) FROM history)'), '0', 'and every write counts once');
note(value(q{SELECT string_agg(format('%s: waited %s ms, held %s ms', kind, round(longest_wait_ms), round(longest_hold_ms)), '; ')
               FROM zdm.step WHERE longest_hold_ms > 0}));

# --- Crashes under them. The writers of that moment lose their connection, and may not know of their last write.
for my $crash ('kill -9 of the worker', 'power failure')
{
    migrate('m', '0.02', 'numeric');
    $writers = writers('crash');
    until_true(q{SELECT EXISTS (SELECT FROM zdm.scan s JOIN zdm.migration ON id = migration
                                 WHERE name = 'm' AND phase = 'backfill' AND next_block > 0)}, 'the backfill');
    until_busy();
    $crash =~ /kill/ ? kill_worker() : stop_at_once();
    like(lost_writers($writers), qr/terminating connection|server closed the connection/, "$crash: the writers lose their connections");
    is(value(q{SELECT phase FROM zdm.status WHERE name = 'm' ORDER BY started_at DESC LIMIT 1}), 'backfill', "$crash: still in backfill");
    $writers = writers('after');
    until_busy();
    value(q{SELECT zdm.configure('m', 'pace', 'full'), zdm.cutover('m')});
    value(q{CALL zdm.wait('m', 'soak', 30)});
    end_writers($writers);
    equal($crash);
    value(q{SELECT zdm.revert('m')});
    value(q{CALL zdm.wait('m', 'ready', 30)});
    equal("$crash, reverted");
    value(q{SELECT zdm.abort('m')});
    value(q{CALL zdm.wait('m', 'aborted', 30)});
}
finish();
