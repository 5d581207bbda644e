# Indexes and constraints under load, killed at every step, aborted in the middle; and in the end the same schema as
# plain DDL makes.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Twin;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\nautovacuum = off\nlog_lock_waits = on");
$node->start;

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub pause { my ($seconds) = @_; select(undef, undef, undef, $seconds); return; }
sub until_true
{
    my ($sql, $what) = @_;
    $node->poll_query_until('postgres', $sql) or die "waited in vain for $what: " . value('SELECT * FROM zdm.status');
    return;
}

sub until_server_answers
{
    for my $attempt (1 .. 600)
    {
        return if $node->psql('postgres', 'SELECT 1') == 0;
        pause(0.1);
    }
    die 'the server did not come back';
}

# Returns when the server has recovered from it; 0 where there was no worker. after: what is asked for just before.
sub kill_worker
{
    my ($after) = @_;
    my $pid = (split /\n/, value(($after // '') . "\nSELECT coalesce(zdm.worker_pid(), 0)"))[-1];
    return 0 if $pid eq '0';
    my $log = -s $node->logfile;
    kill 9, $pid;
    for my $attempt (1 .. 600)
    {
        my $said = slurp_file($node->logfile, $log);
        last if $said =~ /database system is ready to accept connections/;
        # It had done its work and left by itself.
        return 0 if $attempt > 30 && $said !~ /was terminated by signal 9/;
        die 'the server does not recover' if $attempt == 600;
        pause(0.1);
    }
    until_server_answers();
    return 1;
}

# A session with a transaction that stays open until it is let go.
sub hold
{
    my ($transaction) = @_;
    my ($in, $out, $err) = ("$transaction; SELECT 'held';\n", '', '');
    my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
        '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
    pump $session until $out =~ /held/;
    return $session;
}

sub let_go { my ($session) = @_; $session->kill_kill; return; }

sub nothing_is_left
{
    my ($where) = @_;
    is(value(q{SELECT (SELECT count(*) FROM pg_index WHERE NOT indisvalid)
                    + (SELECT count(*) FROM pg_constraint WHERE NOT convalidated OR conname LIKE 'zdm%')
                    + (SELECT count(*) FROM pg_class WHERE relname ~ '^zdm_[0-9]')}),
        '0', "$where: nothing invalid and nothing of zdm is left");
    return;
}

my $tables = q{
    CREATE TABLE branch (id integer PRIMARY KEY, balance bigint NOT NULL DEFAULT 0);
    CREATE TABLE account (id serial, branch integer, balance integer, code text);
    CREATE TABLE part (id integer, day integer, note text) PARTITION BY RANGE (day);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
    CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200) PARTITION BY LIST (id);
    CREATE TABLE part_2_even PARTITION OF part_2 FOR VALUES IN (2, 4);
    CREATE TABLE part_2_odd PARTITION OF part_2 FOR VALUES IN (1, 3);
    INSERT INTO branch SELECT g FROM generate_series(1, 20) g;
    INSERT INTO account (branch, balance, code) SELECT 1 + g % 20, g, 'c' || g FROM generate_series(1, 100000) g;
    INSERT INTO part SELECT 1 + g % 4, g % 200, 'n' || g FROM generate_series(1, 50000) g;
    CREATE INDEX account_needless ON account (balance, code);
};
# What is asked for, and the plain DDL that makes the same.
my @changes = (
    [ 'account_branch', q{zdm.create_index('CREATE INDEX account_branch ON account (branch) WHERE balance > 10')},
        'CREATE INDEX account_branch ON account (branch) WHERE balance > 10' ],
    [ 'account_upper', q{zdm.create_index('CREATE UNIQUE INDEX account_upper ON account (upper(code)) INCLUDE (balance)')},
        'CREATE UNIQUE INDEX account_upper ON account (upper(code)) INCLUDE (balance)' ],
    [ 'fk', q{zdm.add_constraint('account', 'account_of', 'FOREIGN KEY (branch) REFERENCES branch ON DELETE CASCADE', 'fk')},
        'ALTER TABLE account ADD CONSTRAINT account_of FOREIGN KEY (branch) REFERENCES branch ON DELETE CASCADE' ],
    [ 'check', q{zdm.add_constraint('account', 'sane', 'CHECK (balance > -1000000)', 'check')},
        'ALTER TABLE account ADD CONSTRAINT sane CHECK (balance > -1000000)' ],
    [ 'pk', q{zdm.add_constraint('account', 'account_pkey', 'PRIMARY KEY (id, branch)', 'pk')},
        'ALTER TABLE account ADD CONSTRAINT account_pkey PRIMARY KEY (id, branch)' ],
    [ 'unique', q{zdm.add_constraint('account', 'account_code', 'UNIQUE (code)', 'unique')},
        'ALTER TABLE account ADD CONSTRAINT account_code UNIQUE (code)' ],
    [ 'part', q{zdm.create_index('CREATE INDEX ON part (lower(note), day DESC)', 'part')},
        'CREATE INDEX ON part (lower(note), day DESC)' ],
    [ 'drop', q{zdm.drop_index('account_needless', 'drop')}, 'DROP INDEX account_needless' ]);

sub dump_of { my ($database) = @_; return schema_of($node, $database, [ 'branch', 'account', 'part*' ], '--no-comments'); }

$node->safe_psql('postgres', 'CREATE DATABASE twin');
$node->safe_psql('twin', $tables);
$node->safe_psql('twin', $_->[2]) for @changes;
my $twin = dump_of('twin');
like($twin, qr/account_pkey/, 'the twin was changed');

# --- Under load
value('CREATE EXTENSION zdm');
value($tables);
my $before = dump_of('postgres');
my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
append_to_file($script, q{
\set account random(1, 100000)
\set branch random(1, 20)
\set day random(0, 199)
\set id random(1, 4)
BEGIN;
UPDATE account SET balance = balance + 1 WHERE ctid = (SELECT ctid FROM account TABLESAMPLE SYSTEM (0.2) LIMIT 1);
INSERT INTO account (branch, balance, code) VALUES (:branch, :account, gen_random_uuid());
UPDATE branch SET balance = balance + 1 WHERE id = :branch;
INSERT INTO part VALUES (:id, :day, 'load');
END;
});
my ($out, $err) = ('', '');
local %ENV = $node->_get_env();
my $load = IPC::Run::start(
    [ 'pgbench', '-n', '-f', $script, '-c', '4', '-R', '100', '-T', '15', '--max-tries=1', 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);
for my $change (@changes)
{
    my $name = value("SELECT $change->[1]");
    value("CALL zdm.wait('$name', 'done', 60)");
}
ok($load->pumpable, 'all of it happened under load');
$load->finish;
is($load->result(0), 0, 'pgbench ended well') or diag($err);
like($out, qr/number of failed transactions: 0 /, 'no transaction failed') or diag("$out\n$err");
is(dump_of('postgres'), $twin, 'the schema is that of plain DDL');
nothing_is_left('under load');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');

# --- Killed at some place of every migration, again and again
value("DROP TABLE account, branch, part; $tables VACUUM ANALYZE account");
is(dump_of('postgres'), $before, 'from the beginning');
my $kills = 0;
for my $change (@changes)
{
    for my $try (1 .. 3)
    {
        # The first comes to a worker that has hardly begun, the others later and later.
        $kills += kill_worker(($try == 1 ? "SELECT $change->[1];" : '') . sprintf('SELECT pg_sleep(%s);', 0.01 * $try * $try));
        until_server_answers() while $node->psql('postgres', 'SELECT zdm.wake()') != 0;
    }
    value(sprintf(q{CALL zdm.wait('%s', 'done', 60)}, value('SELECT name FROM zdm.migration ORDER BY id DESC LIMIT 1')));
}
cmp_ok($kills, '>=', 4, "killed $kills times");
is(dump_of('postgres'), $twin, 'killed: the schema is that of plain DDL');
nothing_is_left('killed');

# --- Killed in the middle of a build, which waits for an old snapshot
value('CREATE TABLE elder (); DROP INDEX account_branch');
my $elder = hold('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM elder');
value("SELECT $changes[0][1]");
until_true(q{SELECT message LIKE 'builds %: waiting for old snapshots%' AND progress > 0.5 FROM zdm.status
              WHERE name = 'public.account.account_branch' AND phase <> 'done'}, 'a build that waits, as status says');
is(value(q{SELECT count(*) FROM pg_index WHERE NOT indisvalid}), '1', 'the index is not valid yet');
ok(kill_worker(), 'killed in a build');
let_go($elder);
value('SELECT zdm.wake()');
value(q{CALL zdm.wait('public.account.account_branch', 'done', 60)});
nothing_is_left('killed in a build');

# --- Aborted in the middle of it: at once, although the snapshot stays
value('DROP INDEX account_branch');
$elder = hold('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM elder');
value("SELECT $changes[0][1]");
until_true(q{SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for old%')}, 'a build that waits');
value(q{SELECT zdm.abort('public.account.account_branch')});
value(q{CALL zdm.wait('public.account.account_branch', 'aborted', 30)});
nothing_is_left('aborted in a build');
is(value(q{SELECT to_regclass('account_branch')}), '', 'aborted: no index');
let_go($elder);

# --- A drop that has begun and is killed: it ends; or it is aborted, and the index is built again.
my $with_index;
for my $abort (0, 1)
{
    value($changes[0][2]);
    $with_index = dump_of('postgres');
    my $reader = hold('BEGIN; SELECT count(*) FROM account');
    value(q{SELECT zdm.drop_index('account_branch', 'd')});
    until_true(q{SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'account_branch'::regclass}, 'a drop that has begun');
    # Paused, so that the new worker does not go on before it is told what to do.
    value(q{SELECT zdm.pause('d')});
    ok(kill_worker(), 'killed in a drop');
    let_go($reader);
    is(value(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'account_branch'::regclass}), 'f', 'half dropped');
    value($abort ? q{SELECT zdm.abort('d')} : q{SELECT zdm.resume('d')});
    value(sprintf(q{CALL zdm.wait('d', '%s', 60)}, $abort ? 'aborted' : 'done'));
    is(value(q{SELECT to_regclass('account_branch')}), $abort ? 'account_branch' : '', 'the index is ' . ($abort ? 'there again' : 'gone'));
    nothing_is_left('killed in a drop');
}
is(dump_of('postgres'), $with_index, 'aborted drop: as it was');

# --- A value that an expression cannot read: whoever listens is told of it without the value, which the server log has
value(q{CREATE TABLE client (code text); INSERT INTO client VALUES ('secret')});
my (undef, $heard) = $node->psql('postgres', q{
    LISTEN zdm;
    SELECT zdm.create_index('CREATE INDEX client_code ON client ((code::integer))', name => 'number');
    CALL zdm.wait('number', 'done', 60);
    SELECT 1}, on_error_stop => 0);
like($heard, qr/"failed".*invalid input syntax for type \.\.\./, 'a failure is notified');
unlike($heard, qr/secret/, 'without the value');
like(slurp_file($node->logfile), qr/migration "number" on public\.client: invalid input syntax for type integer: "secret"/,
    'the server log has the value');
value(q{SELECT zdm.abort('number')});
value(q{CALL zdm.wait('number', 'aborted', 60)});

until_true(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'zdm worker'}, 'an end of the worker');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal (4|6|7|8|11)\b/, 'nobody crashed but by our hand');
$node->stop;
done_testing();
