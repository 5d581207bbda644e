# The archive takes nothing any more. Every WAL segment stays on the disk until it does, so the backfill slows down, stops
# at five times zdm.max_archive_backlog, says so, and goes on by itself when the archive takes again. The application's own
# writes go on all the time. The worker killed, or the power gone, while it stands: it stands again, for the same reason.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use PostgreSQL::Test::Utils;
use Test::More;

my $archive = PostgreSQL::Test::Utils::tempdir();
start_server(qq{archive_mode = on\narchive_command = 'test ! -e $archive/full'});
value(q{
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 100));
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 300000) g;
    CREATE INDEX t_v ON t (v);
    VACUUM ANALYZE t});
until_true(q{SELECT count(*) = 0 FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'}, 'an archive that is up to date');

sub backlog { return value(q{SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'}); }
sub place { return value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'}); }

my $stands = q{SELECT state = 'waiting' AND message ~ '^archiving fails: \d+ WAL segments wait \(zdm\.max_archive_backlog 2\)'
                      AND throttled_by ~ '^archiving fails: ' FROM zdm.status};
my $writes = "\\set id random(1, 300000)\nUPDATE t SET v = v + 1 WHERE id = :id;\n";
my $written = 0;
my $writers = start_writers('beside', $writes, '-c', '2', '-R', '50');

# --- It slows down, then stops.
append_to_file("$archive/full", '');
value(q{SET zdm.max_archive_backlog = 2; SET zdm.max_wal_rate = '4MB'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
until_true($stands, 'the backfill to stop');
pass('at five times the backlog it stands, and says why');
is(value('SELECT level || signal FROM zdm.pacing'), 'stoparchiver', 'the signal has its name in zdm.pacing');
my ($place, $backlog) = (place(), backlog());
cmp_ok($place, '>', 0, 'it stands in the middle');
cmp_ok($backlog, '<', 20, "the backlog has a bound ($backlog segments)");
pause(2);
is(place(), $place, 'nothing moves');
cmp_ok(backlog() - $backlog, '<', 3, 'so the backlog grows by what others write alone');
$written += end_writers($writers);

# --- Killed while it stands.
kill_worker();
until_true($stands, 'the same reason after kill -9');
is(place(), $place, 'killed: it stands where it stood');
stop_at_once();
until_true($stands, 'the same reason after a power failure');
is(place(), $place, 'power gone: it stands where it stood');

# --- Room.
$writers = start_writers('beside', $writes, '-c', '2', '-R', '50');
unlink "$archive/full";
# The archiver looks again within a minute, or when there is a new segment.
value('SELECT pg_switch_wal()');
until_true(q{SELECT state <> 'waiting' FROM zdm.status}, 'the backfill to go on');
pass('the archive takes again: it goes on by itself');
value(q{SELECT zdm.configure('m', 'max_wal_rate', '0')});
value(q{CALL zdm.wait('m', 'ready', 30)});
value(q{SELECT zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 30)});
$written += end_writers($writers);
is(value(q{SELECT zdm.verify('m')}), '0', 'no row differs');
is(value('SELECT sum(v) - sum(id % 7) FROM t'), $written, 'no write is lost');
is(value(q{SELECT count(*) > 0 FROM zdm.event WHERE event = 'waiting' AND detail->>'message' ~ '^archiving fails'}), 't',
    'the event log keeps why it stood');
finish();
