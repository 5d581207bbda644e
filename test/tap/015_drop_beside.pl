# What others do to the table, the extension and the database while a migration is in backfill. Dropping is
# allowed and leaves a clear state and no worker; dropping a column that the sync trigger needs is refused;
# renaming one behind zdm's back fails no write.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off");
$node->start;

my $database;
sub value { my ($sql) = @_; return $node->safe_psql($database, $sql); }
sub until_true
{
    my ($sql, $what, $where) = @_;
    $node->poll_query_until($where || $database, $sql) or die "waited in vain for $what";
    return;
}
sub error
{
    my ($sql) = @_;
    my ($code, $out, $err) = $node->psql($database, "\\set VERBOSITY verbose\n$sql");
    # Warnings fail nothing.
    $err =~ s/^.*WARNING:.*\n(^(LOCATION|DETAIL|HINT|CONTEXT):.*\n?)*//mg;
    return $err;
}
sub no_worker_left
{
    my ($where) = @_;
    until_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'}, 'the end of the worker',
        'postgres');
    pass("$where: no worker is left");
    return;
}

# A new database with a migration in the middle of its backfill.
sub backfilling
{
    ($database) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    value(q{
        CREATE EXTENSION zdm;
        CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL DEFAULT 0 CHECK (v >= 0));
        INSERT INTO t (v) SELECT g % 1000 FROM generate_series(1, 200000) g;
        CREATE INDEX t_v ON t (v);
        VACUUM ANALYZE t});
    value(q{SET zdm.pace = '0.01'; SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
    until_true(q{SELECT EXISTS (SELECT FROM zdm.scan WHERE next_block > 0 AND NOT done)}, 'the backfill');
    return;
}

# --- DROP TABLE
backfilling('drop_table');
value('DROP TABLE t');
until_true(q{SELECT state = 'failed' FROM zdm.status}, 'the worker to notice');
like(value('SELECT message FROM zdm.status'), qr/"m".*the table was dropped; SELECT zdm\.abort\('m'\)/,
    'DROP TABLE: the message names the migration, the reason and the way out');
no_worker_left('DROP TABLE');
like(error(q{CALL zdm.wait('m', 'ready', 10)}), qr/42P01: .*the table was dropped/, 'DROP TABLE: a wait fails with the reason');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 30)});
is(value(q{SELECT phase || ' ' || state FROM zdm.status}), 'aborted idle', 'DROP TABLE: abort closes the migration');
# The name is free again.
value('CREATE TABLE t (v integer)');
value(q{SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
value(q{CALL zdm.wait('m', 'ready', 30)});
no_worker_left('after DROP TABLE');

# --- DROP TABLE, then abort without having looked.
backfilling('drop_table_abort');
value(q{DROP TABLE t; SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 30)});
is(value(q{SELECT phase || ' ' || state FROM zdm.status}), 'aborted idle', 'DROP TABLE and abort in one transaction');
no_worker_left('DROP TABLE and abort');

# --- DROP EXTENSION
backfilling('drop_extension');
like(error('DROP EXTENSION zdm'), qr/2BP01/, 'DROP EXTENSION is refused: the sync trigger needs it');
value('DROP EXTENSION zdm CASCADE');
no_worker_left('DROP EXTENSION CASCADE');
value('INSERT INTO t (v) VALUES (1); UPDATE t SET v = v + 1 WHERE id % 1000 = 0');
is(value(q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal}), '0',
    'DROP EXTENSION CASCADE: the sync trigger is gone, and writes work');
value('CREATE EXTENSION zdm');
is(value('SELECT zdm.wake()'), '0', 'a new extension begins with nothing');
value('ALTER TABLE t DROP COLUMN zdm_new_v');
value(q{SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
value(q{CALL zdm.wait('m', 'ready', 60)});
is(value(q{SELECT zdm.verify('m')}), '0', 'and works');
no_worker_left('the new extension');

# --- DROP SCHEMA, as a test suite that cleans up does.
backfilling('drop_schema');
value('DROP SCHEMA zdm CASCADE; DROP TABLE t');
no_worker_left('DROP SCHEMA CASCADE');

# --- DROP DATABASE
backfilling('drop_database');
my ($code, $out, $err) = $node->psql('postgres', 'DROP DATABASE drop_database WITH (FORCE)');
is($code, 0, 'DROP DATABASE WITH (FORCE) while it works') or diag($err);
no_worker_left('DROP DATABASE WITH (FORCE)');

backfilling('drop_database_later');
value(q{SELECT zdm.configure('m', 'pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 60)});
no_worker_left('ready');
($code, $out, $err) = $node->psql('postgres', 'DROP DATABASE drop_database_later');
is($code, 0, 'DROP DATABASE when the worker is gone') or diag($err);

# --- Columns
backfilling('columns');
# What is written in every case below, by two statements that touch copied rows and others.
my $write = 'INSERT INTO t (v) VALUES (5); UPDATE t SET v = v + 1 WHERE id % 100 = 0; DELETE FROM t WHERE id % 1000 = 1';
for my $column ('v', 'zdm_new_v')
{
    like(error("ALTER TABLE t DROP COLUMN $column"), qr/2BP01/, "DROP COLUMN $column is refused in backfill");
}
value(q{SELECT zdm.configure('m', 'pace', 'full')});
value(q{CALL zdm.wait('m', 'ready', 60)});
for my $column ('v', 'zdm_new_v')
{
    like(error("ALTER TABLE t DROP COLUMN $column"), qr/2BP01/, "DROP COLUMN $column is refused in ready");
}
value(q{SELECT zdm.cutover('m')});
value(q{CALL zdm.wait('m', 'soak', 60)});
for my $column ('v', 'zdm_old_v')
{
    like(error("ALTER TABLE t DROP COLUMN $column"), qr/2BP01/, "DROP COLUMN $column is refused in soak");
}
value($write);
is(value(q{SELECT zdm.verify('m')}), '0', '0 discrepancies');

# --- Renamed behind zdm's back, while it copies.
backfilling('renamed');
my $rows = value('SELECT count(*) FROM t');
value('ALTER TABLE t RENAME COLUMN zdm_new_v TO elsewhere');
is(error($write), '', 'the new column is renamed: writes do not fail');
# New sessions have nothing cached.
is(error($write), '', 'nor in another session');
value(q{SELECT zdm.configure('m', 'pace', 'full')});
until_true(q{SELECT state = 'failed' OR phase = 'ready' FROM zdm.status}, 'an outcome');
note(value(q{SELECT concat_ws(' | ', phase, state, message) FROM zdm.status}));
is(error($write), '', 'nor afterwards');
isnt(value(q{SELECT phase FROM zdm.status}), 'ready', 'and it is not ready with a column that is not there');
like(value('SELECT message FROM zdm.status'), qr/zdm_new_v/, 'the message names the column that is missed');
# Renamed back, it goes on; what was written meanwhile is not lost.
value('ALTER TABLE t RENAME COLUMN elsewhere TO zdm_new_v');
value(q{SELECT zdm.resume('m')});
until_true(q{SELECT state = 'failed' OR phase = 'ready' FROM zdm.status}, 'an outcome');
note(value(q{SELECT concat_ws(' | ', phase, state, message) FROM zdm.status}));
is(value(q{SELECT (SELECT phase FROM zdm.status) <> 'ready' OR (SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v) = 0}), 't',
    'ready only if every row is equal');
value(q{SELECT zdm.abort('m')});
value(q{CALL zdm.wait('m', 'aborted', 60)});
is(error($write), '', 'writes after abort');
is(value(q{SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped}), 'id, v', 'abort: the table as it was');
no_worker_left('at the end');

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|was terminated by signal/, 'no crash in the log');
unlike($log, qr/FATAL:  (?!terminating)[^\n]*\n[^\n]*zdm worker/, 'no worker that cannot start');
is(scalar(() = $log =~ /background worker "zdm worker" \(PID \d+\) exited with exit code 1/g) <= 1, 1,
    'only the one that FORCE terminated ended otherwise than by itself');
$node->stop;
done_testing();
