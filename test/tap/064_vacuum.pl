# In the course of a backfill the table is vacuumed, so that rows moved to other pages do not make its indexes grow; and
# whoever waits for the table ends that at once.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off\nfsync = off\nshared_buffers = 256MB");
$node->start;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub until_true { my ($sql, $name) = @_; ok($node->poll_query_until('postgres', $sql), $name); }
my $moved = q{(SELECT sum(rows_moved) FROM zdm.scan s JOIN zdm.migration m ON m.id = s.migration WHERE m.phase <> 'aborted' AND s.kind = 'backfill')};
value(q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL, k integer, filler text DEFAULT repeat('x', 30));
    INSERT INTO t SELECT g, g % 7, hashint4(g) FROM generate_series(1, 1000000) g;
    CREATE INDEX ON t (k);
    VACUUM ANALYZE t});

# --- Nobody beside: vacuumed by and by, and no index has grown: not the random one, nor the one in the rows' order, whose
# leaves would all be split by the rows that one window moves.
my $before = value(q{SELECT pg_indexes_size('t')});
my $vacuums = value(q{SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 't'});
value(q{SET zdm.pace = 'full'; SET zdm.batch_time = '5ms'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
value(q{CALL zdm.wait('m', 'ready', 120)});
cmp_ok(value("SELECT $moved"), '>', 120000, 'more rows had to be moved than the leaves have room for');
until_true(qq{SELECT vacuum_count > $vacuums FROM pg_stat_user_tables WHERE relname = 't'}, 'the table was vacuumed');
cmp_ok(value(qq{SELECT pg_indexes_size('t') / $before.0}), '<', 1.03, 'the indexes have not grown');
is(value(q{SELECT zdm.verify('m')}), '0', 'no row differs');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});

# --- An index in the rows' order whose leaves hold the rows of three pages, which move to one and the same; and one whose
# leaves hold those of a hundred, one of which moves from each.
value(q{
    CREATE TABLE narrow (id bigint PRIMARY KEY, v integer NOT NULL, k1 integer, k2 integer, filler text);
    INSERT INTO narrow SELECT g, g % 7, g % 11, g % 13, repeat('x', 12) FROM generate_series(1, 300000) g;
    CREATE TABLE wide (id bigint PRIMARY KEY, v integer NOT NULL, k integer, filler text);
    INSERT INTO wide SELECT g, g % 7, g % 11, (SELECT string_agg(md5((g * 58 + n)::text), '') FROM generate_series(1, 58) n)
      FROM generate_series(1, 40000) g;
    REINDEX TABLE narrow;
    REINDEX TABLE wide;
    VACUUM ANALYZE narrow, wide});
for my $table ('narrow', 'wide') {
    $before = value("SELECT pg_indexes_size('$table')");
    value(qq{SET zdm.pace = 'full'; SELECT zdm.change_type('$table', 'v', 'bigint', name => '$table')});
    value(qq{CALL zdm.wait('$table', 'ready', 120)});
    cmp_ok(value("SELECT sum(rows_moved::float8) / sum(rows_done) FROM zdm.scan s JOIN zdm.migration m ON m.id = s.migration WHERE m.name = '$table' AND s.kind = 'backfill'"),
        '>', 0.15, "$table: more rows had to be moved than the leaves have room for");
    cmp_ok(value("SELECT pg_indexes_size('$table') / $before.0"), '<', 1.03, "$table: the index has not grown");
    value(qq{SELECT zdm.abort('$table')});
    value(qq{CALL zdm.wait('$table', 'aborted', 60)});
}

# --- Two workers: what one has moved the other still sees for a while.
value(q{VACUUM FULL ANALYZE wide});
$before = value(q{SELECT pg_indexes_size('wide')});
value(q{SET zdm.pace = 'full'; SET zdm.max_workers = 2; SELECT zdm.change_type('wide', 'v', 'bigint', name => 'wide2')});
value(q{CALL zdm.wait('wide2', 'ready', 120)});
is(value(q{SELECT count(*) FROM zdm.scan s JOIN zdm.migration m ON m.id = s.migration WHERE m.name = 'wide2' AND s.kind = 'backfill' AND rows_moved > 1000}), '2', 'the table was divided');
cmp_ok(value(qq{SELECT pg_indexes_size('wide') / $before.0}), '<', 1.5, 'the index has not doubled');
value(q{SELECT zdm.abort('wide2')});
value(q{CALL zdm.wait('wide2', 'aborted', 60)});

# --- A table that is updated: each page has room for the next version of a row. VACUUM, before the backfill and in its
# course, tells the free space map; then whoever finds no room on his row's own page would take that of another one. It is
# hidden while the table is filled. (A transaction that has the table, without a snapshot, holds up what comes after.)
value(q{
    CREATE EXTENSION pg_freespacemap;
    CREATE TABLE settled (id integer PRIMARY KEY, v integer NOT NULL, visits integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 60));
    INSERT INTO settled SELECT g, g % 10 FROM generate_series(1, 100000) AS g;
    CREATE INDEX ON settled (v)});
for (1, 2)
{
    value(q{UPDATE settled SET visits = visits + 1 WHERE id IN (SELECT min(id) FROM settled GROUP BY (ctid::text::point)[0])});
    value('VACUUM ANALYZE settled');
}
my $offered = q{SELECT avg((avail >= 104)::integer) FROM pg_freespace('settled')};
cmp_ok(value($offered), '>', 0.8, 'the table has such room');
value(q{SET zdm.pace = 'full'; SET zdm.min_disk_free = '1000TB'; SELECT zdm.change_type('settled', 'v', 'bigint', name => 'room')});
until_true(q{SELECT EXISTS (SELECT FROM zdm.status WHERE phase = 'backfill' AND state = 'waiting')}, 'held back until somebody has the table');
my $holder = $node->background_psql('postgres', on_error_die => 1);
$holder->query_safe(q{BEGIN; LOCK TABLE settled IN ROW EXCLUSIVE MODE});
value(q{SELECT zdm.configure('room', 'min_disk_free', '0')});
until_true(q{SELECT bool_and(done) FROM zdm.scan WHERE kind = 'backfill' AND relation = 'settled'::regclass}, 'filled');
cmp_ok(value(q{SELECT rows_vacuumed FROM zdm.scan WHERE kind = 'backfill' AND relation = 'settled'::regclass}), '>', 0, 'with a VACUUM in between');
cmp_ok(value($offered), '<', 0.1, 'it is offered to nobody');
$holder->query_safe('COMMIT');
$holder->quit;
value(q{CALL zdm.wait('room', 'ready', 60)});
cmp_ok(value($offered), '>', 0.8, 'when all is filled it is known again');
value(q{SELECT zdm.abort('room')});
value(q{CALL zdm.wait('room', 'aborted', 60)});

# --- Somebody reads the index and stays where he is: VACUUM, which has rows to remove that were dead before he came,
# waits for him. Who waits for the table does not.
value('DELETE FROM t WHERE id % 10 = 0');
value(q{SET zdm.pace = 'full'; SET zdm.min_disk_free = '1000TB'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
until_true(q{SELECT EXISTS (SELECT FROM zdm.status WHERE phase = 'backfill' AND state = 'waiting')}, 'held back until the reader is there');
my $reader = $node->background_psql('postgres', on_error_die => 1);
$reader->query_safe(q{SET enable_seqscan = off; SET enable_bitmapscan = off; BEGIN; DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id; FETCH c});
value(q{SELECT zdm.configure('m', 'min_disk_free', '0')});
my $vacuuming = q{SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a USING (pid) WHERE a.wait_event = 'BufferPin')};
until_true($vacuuming, 'VACUUM waits for a reader');
is(value(q{SELECT message FROM zdm.status WHERE phase = 'backfill'}), 'vacuums public.t between two boxes', 'and status says that it is at it');
value(q{SELECT zdm.configure('m', 'pace', '0.01')});
value(q{SET lock_timeout = '5s'; ALTER TABLE t ALTER v SET STATISTICS 50});
pass('somebody else gets the table');
until_true('SELECT NOT EXISTS (SELECT FROM pg_stat_progress_vacuum)', 'VACUUM has given way');
until_true(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'zdm%' AND query LIKE 'zdm backfill of public.t,%')}, 'and the worker says that it goes on');
value(q{SELECT zdm.configure('m', 'pace', 'full')});

# --- Called off meanwhile.
until_true($vacuuming, 'VACUUM waits again, after some more rows');
value(q{SELECT zdm.abort('m')});
until_true('SELECT NOT EXISTS (SELECT FROM pg_stat_progress_vacuum)', 'abort waits for no VACUUM');
$reader->quit;
value(q{CALL zdm.wait('m', 'aborted', 60)});
is(value(q{SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname LIKE 'zdm%'}), '0', 'aborted: as it was');
$node->stop;
done_testing();
