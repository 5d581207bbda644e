# What others' transactions notice is measured in place: passes take half of their share and rest for a moment now and
# then, and the latency of transactions beside a pass is held against that without. Above zdm.max_latency_ratio the pass
# slows down, if that helps; below it, it takes more, but hardly any of a machine that has nothing idle.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IPC::Run;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'zdm'\nmax_worker_processes = 16\nautovacuum = off\nfsync = off");
$node->start;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub until_true { my ($sql, $name) = @_; ok($node->poll_query_until('postgres', $sql), $name); }
value(q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL, n integer DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 2000000) g;
    VACUUM ANALYZE t});

# --- Nobody there: nothing to compare, nobody to rest for.
my $limits = q{SET zdm.max_impact = 0; SET zdm.max_row_waits = 0; SET zdm.max_slowdown = 0;};
value("$limits SELECT zdm.change_type('t', 'v', 'bigint', name => 'm'); ");
value(q{CALL zdm.wait('m', 'ready', 60)});
is(value(q{SELECT count(*) FROM zdm.event WHERE name = 'm' AND event = 'throttle' AND detail::text LIKE '%others%'}), '0', 'alone: not slowed down by latency');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});

# --- Beside a load. A ratio below 1 can only be exceeded; held back at first so that it is not over too soon.
my $script = $node->basedir . '/load.sql';
append_to_file($script, "\\set id random(1, 2000000)\nUPDATE t SET n = n + 1 WHERE id = :id;\nSELECT n FROM t WHERE id = :id;\n");
my ($out, $err) = ('', '');
local %ENV = $node->_get_env();
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-j', '1', '-R', '600', '-T', '600', '-f', $script, 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM t WHERE n > 0)}) or die 'no load';
value("$limits SET zdm.max_latency_ratio = 0.01; SET zdm.max_wal_rate = '4MB'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')");
until_true(q{SELECT duty < 0.2 FROM zdm.pacing p JOIN zdm.migration m ON m.id = p.migration AND m.phase = 'backfill'}, 'slower and slower while the ratio is above its limit');
until_true(q{SELECT EXISTS (SELECT FROM zdm.status WHERE name = 'm' AND phase = 'backfill' AND throttled_by LIKE 'p%')}, 'status names it');
like(value(q{SELECT throttled_by FROM zdm.status WHERE name = 'm' AND phase = 'backfill'}),
    qr/^p95 of others' transactions [0-9.]+ ms beside it, [0-9.]+ ms without \(zdm\.max_latency_ratio 0\.01\)$/, 'with both values and the setting');

# --- One of the passes measures; those of another database go by it too.
value('CREATE DATABASE other');
$node->safe_psql('other', qq{
    CREATE EXTENSION zdm;
    CREATE TABLE u (id integer PRIMARY KEY, v integer NOT NULL, filler text DEFAULT repeat('x', 100));
    INSERT INTO u SELECT g, g % 7 FROM generate_series(1, 500000) g;
    $limits SET zdm.max_latency_ratio = 0.01; SET zdm.max_wal_rate = '1MB';
    SELECT zdm.change_type('u', 'v', 'bigint', name => 'other')});
ok($node->poll_query_until('other', q{SELECT EXISTS (SELECT FROM zdm.status WHERE phase = 'backfill' AND throttled_by LIKE 'p9% of others%')}), 'the second pass knows it too');
$node->safe_psql('other', q{SELECT zdm.abort('other')});
$node->safe_psql('other', q{CALL zdm.wait('other', 'aborted', 60)});

# --- The conductor is ended in mid-window: the next one measures, and nobody rests for ever.
my ($worker) = value(q{SELECT zdm.worker_pid()});
value(qq{SELECT pg_terminate_backend($worker)});
value('SELECT zdm.wake()');
until_true(qq{SELECT zdm.worker_pid() <> $worker}, 'the worker has come back');
until_true(q{SELECT EXISTS (SELECT FROM zdm.scan s JOIN zdm.migration m ON m.id = s.migration WHERE m.phase = 'backfill' AND s.updated_at > now() - interval '1 second')}, 'and works');
until_true(q{SELECT duty < 0.3 FROM zdm.pacing p JOIN zdm.migration m ON m.id = p.migration AND m.phase = 'backfill' AND p.updated_at > now() - interval '1 second'}, 'and measures');

# --- Where nobody notices it, it takes more than the guess of zdm.max_impact.
value(q{SELECT zdm.configure('m', 'max_impact', '0.001')});
until_true(q{SELECT duty < 0.02 FROM zdm.pacing p JOIN zdm.migration m ON m.id = p.migration AND m.phase = 'backfill'}, 'as little as that guess says');
value(q{SELECT zdm.configure('m', 'max_latency_ratio', '1000')});
until_true(q{SELECT duty > 0.02 FROM zdm.pacing p JOIN zdm.migration m ON m.id = p.migration AND m.phase = 'backfill'}, 'faster and faster while the ratio is below its limit');

# --- Not on cores that others keep busy, though no transaction may notice that.
my $cores = `nproc`;
my @hogs = map { IPC::Run::start([ $^X, '-e', '1 while getppid() > 1' ]) } 1 .. 2 * $cores;
until_true(q{SELECT EXISTS (SELECT FROM zdm.status WHERE name = 'm' AND phase = 'backfill'
    AND throttled_by ~ '^[0-9.]+ of [0-9]+ cores idle while it rests .zdm.max_latency_ratio 1000.$')}, 'it takes a part of what is idle only');
$_->kill_kill for @hogs;
value(q{SELECT zdm.configure('m', 'max_impact', '0')});

# --- Not measured any more, from the next look on.
value(q{SELECT zdm.configure('m', 'max_latency_ratio', '0'), zdm.configure('m', 'max_wal_rate', NULL)});
value(q{CALL zdm.wait('m', 'ready', 60)});
$load->signal('ALRM');
$load->finish;
like($out, qr/number of failed transactions: 0 /, 'no transaction failed');
is(value(q{SELECT zdm.verify('m')}), '0', 'nothing differs');
$node->stop;
done_testing();
