# The disk that the table lies on is nearly full. What the rest of the backfill will take is asked for before it is
# written: where that would leave less than zdm.min_disk_free the backfill stands, says so in bytes, and goes on by itself
# when there is room. So nobody's statement fails for lack of space because of it. Told not to look, it meets the full
# disk itself, and waits all the same.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Fault;
use File::Temp;
use PostgreSQL::Test::Utils;
use Test::More;

my $disk = $ENV{ZDM_SMALL_DISK};
plan(skip_all => 'no small file system: ' . ($ENV{ZDM_NO_SMALL_DISK} || 'test/check.sh makes one')) unless $disk;

start_server('');
my $tablespace = File::Temp::tempdir(DIR => $disk, CLEANUP => 1);
value("CREATE TABLESPACE small LOCATION '$tablespace'");
value(q{
    CREATE TABLE t (id integer PRIMARY KEY USING INDEX TABLESPACE small, v integer NOT NULL DEFAULT 0,
                    filler text DEFAULT repeat('x', 100)) TABLESPACE small;
    INSERT INTO t SELECT g, g % 7 FROM generate_series(1, 150000) g;
    CREATE INDEX t_v ON t (v) TABLESPACE small;
    VACUUM ANALYZE t});

my $mb = 1024 * 1024;
sub free_mb { my ($blocks, $size) = split ' ', `stat -f -c '%a %S' $disk`; return $blocks * $size / $mb; }

# What others keep there.
sub leave_free
{
    my ($left) = @_;
    unlink "$disk/ballast";
    my $ballast = int(free_mb() - $left);
    die "there are only " . free_mb() . " MB" if $ballast < 0;
    system_or_bail('dd', 'if=/dev/zero', "of=$disk/ballast", 'bs=1M', "count=$ballast", 'status=none');
    return;
}
sub make_room { unlink "$disk/ballast" or die "$disk/ballast: $!"; return; }
sub place { return value(q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'}); }

my $number = qr/\d+(\.\d)?/;
my $stands = q{SELECT state = 'waiting' AND throttled_by ~ '^disk has [\d.]+ MB free for public\.t' FROM zdm.status};
my $writes = "\\set id random(1, 150000)\nUPDATE t SET v = v + 1 WHERE id = :id;\n";
my $written = 0;
my $writers = start_writers('beside', $writes, '-c', '2', '-R', '50');

# --- Not enough from the start: nothing is written.
leave_free(18);
value(q{SET zdm.min_disk_free = '16MB'; SET zdm.max_wal_rate = '3MB'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
until_true($stands, 'the backfill to stand');
like(value('SELECT message FROM zdm.status'),
    qr/^disk has $number MB free for public\.t, the rest needs about $number MB \(zdm\.min_disk_free 16 MB\)/,
    'it says what is free, what it needs, and what is to stay free');
is(value('SELECT level || signal FROM zdm.pacing'), 'stopdisk', 'the signal has its name in zdm.pacing');
is(place(), '0', 'not a block is written');

# --- Room comes, and goes again.
make_room();
until_true(q{SELECT next_block > 100 FROM zdm.scan WHERE kind = 'backfill'}, 'the backfill to go on');
leave_free(18);
until_true($stands, 'the backfill to stop in the middle');
my $place = place();
pause(1.5);
is(place(), $place, 'it stands in the middle');
cmp_ok(free_mb(), '>', 14, 'what was to stay free is free');
$written += end_writers($writers);

# --- Killed while it stands.
kill_worker();
until_true($stands, 'the same reason after kill -9');
stop_at_once();
until_true($stands, 'the same reason after a power failure');
is(place(), $place, 'it stands where it stood');

# --- Room.
$writers = start_writers('beside', $writes, '-c', '2', '-R', '50');
make_room();
value(q{SELECT zdm.configure('m', 'max_wal_rate', '0')});
value(q{CALL zdm.wait('m', 'ready', 30)});
pass('there is room again: it goes on by itself');
value(q{SELECT zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 30)});
$written += end_writers($writers);
is(value(q{SELECT zdm.verify('m')}), '0', 'no row differs');
is(value('SELECT sum(v) - sum(id % 7) FROM t'), $written, 'no write is lost');
is(value(q{SELECT count(*) > 0 FROM zdm.event WHERE event = 'waiting' AND detail->>'message' ~ '^disk has'}), 't',
    'the event log keeps why it stood');
value(q{SELECT zdm.contract('m', force => true)});
value(q{CALL zdm.wait('m', 'done', 30)});

# --- An index is written in one go: it begins where there is room for all of it.
value('VACUUM FULL t; VACUUM ANALYZE t; CHECKPOINT');
leave_free(24);
my $no_room = q{SELECT state = 'waiting' AND message ~ '^disk has [\d.]+ MB free for Build index t_filler beside the writes, which needs about [\d.]+ MB \(zdm\.min_disk_free 16 MB\)$'
                  FROM zdm.status WHERE name = 'index'};
value(q{SET zdm.min_disk_free = '16MB'; SELECT zdm.create_index('CREATE INDEX t_filler ON t (id, (filler || id)) TABLESPACE small', name => 'index')});
until_true($no_room, 'the index to wait for room');
kill_worker();
until_true($no_room, 'the index to wait for room after kill -9');
cmp_ok(free_mb(), '>', 22, 'an index that has no room is not begun');
my ($guess) = value(q{SELECT message FROM zdm.status WHERE name = 'index'}) =~ /needs about ([\d.]+) MB/;
make_room();
value(q{CALL zdm.wait('index', 'done', 30)});
my $size = value(q{SELECT pg_relation_size('t_filler') / 1024 / 1024});
cmp_ok(abs($guess - $size), '<', 0.3 * $size, "what it said it needs ($guess MB) is about what it takes ($size MB)");
value('DROP INDEX t_filler');
value('CHECKPOINT');

# --- Told not to look: it writes until the disk is full, then waits for room like for anything that passes by itself.
leave_free(1);
value(q{SET zdm.min_disk_free = 0; SET zdm.pace = 'full'; SELECT zdm.change_type('t', 'v', 'numeric', name => 'blind')});
until_true(q{SELECT state = 'waiting' AND message ~ 'No space left on device' FROM zdm.status WHERE name = 'blind'}, 'the disk to be full');
# In one look: it tries again now and then, and has no message while it does.
until_true(q{SELECT state = 'waiting' AND message ~ '"blind".* public\.t: .*could not extend file' FROM zdm.status WHERE name = 'blind'},
    'told not to look: it waits for room, and has not failed; the message says what is full');
make_room();
value(q{CALL zdm.wait('blind', 'ready', 30)});
is(value(q{SELECT zdm.verify('blind')}), '0', 'it goes on when there is room: no row differs');
is(value('SELECT sum(v) - sum(id % 7) FROM t'), $written, 'and no write is lost');
finish();
