# Columns are added, made NOT NULL and dropped under load, and killed at some place of every migration; and in the end
# the schema is the one that plain DDL makes, and so are the rows.
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
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\nautovacuum = off");
$node->start;

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub pause { my ($seconds) = @_; select(undef, undef, undef, $seconds); return; }

my $tables = q{
    CREATE TABLE account (id bigint PRIMARY KEY, balance integer NOT NULL, code text, nick text, useless numeric NOT NULL);
    CREATE TABLE part (id bigint, day integer NOT NULL, note text) PARTITION BY RANGE (day);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
    CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);
    INSERT INTO account SELECT g, g % 100, 'c' || g, CASE WHEN g % 3 > 0 THEN 'n' || g END, g FROM generate_series(1, 60000) g;
    INSERT INTO part SELECT g, g % 200, CASE WHEN g % 2 > 0 THEN 'n' || g END FROM generate_series(1, 30000) g;
    VACUUM ANALYZE account, part;
};
# What is asked for, and the plain DDL that makes the same. The application knows none of it, at any moment.
my @changes = (
    [ q{zdm.add_column('account', 'twice', 'bigint', value => 'balance * 2', not_null => true, column_default => '0', name => 'm')},
        'ALTER TABLE account ADD twice bigint; UPDATE account SET twice = balance * 2; ALTER TABLE account ALTER twice SET DEFAULT 0, ALTER twice SET NOT NULL' ],
    [ q{zdm.add_column('account', 'plain', 'text', column_default => '''as ever''', name => 'm')},
        q{ALTER TABLE account ADD plain text DEFAULT 'as ever'} ],
    [ q{zdm.set_not_null('account', 'nick', '''nobody''', name => 'm')},
        q{UPDATE account SET nick = 'nobody' WHERE nick IS NULL; ALTER TABLE account ALTER nick SET NOT NULL} ],
    [ q{zdm.set_not_null('account', 'code', name => 'm')}, 'ALTER TABLE account ALTER code SET NOT NULL' ],
    [ q{zdm.add_column('part', 'shout', 'text', value => 'upper(coalesce(note, ''none''))', not_null => true, column_default => '''none''', name => 'm')},
        q{ALTER TABLE part ADD shout text; UPDATE part SET shout = upper(coalesce(note, 'none'));
          ALTER TABLE part ALTER shout SET DEFAULT 'none', ALTER shout SET NOT NULL} ],
    [ q{zdm.set_not_null('part', 'note', '''?''', name => 'm')},
        q{UPDATE part SET note = '?' WHERE note IS NULL; ALTER TABLE part ALTER note SET NOT NULL} ],
    [ q{zdm.drop_column('account', 'useless', name => 'm')}, 'ALTER TABLE account DROP useless' ]);

sub dump_of { my ($database) = @_; return schema_of($node, $database, [ 'account', 'part*' ], '--no-comments'); }

my $rows = q{SELECT md5(string_agg(a::text, ',' ORDER BY id)) FROM account a UNION ALL SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM part p ORDER BY 1};
$node->safe_psql('postgres', 'CREATE DATABASE twin');
$node->safe_psql('twin', $tables);
$node->safe_psql('twin', $_->[1]) for @changes;
my $twin = dump_of('twin');
my $twin_rows = $node->safe_psql('twin', $rows);

sub nothing_is_left
{
    my ($where) = @_;
    is(value(q{SELECT (SELECT count(*) FROM pg_attribute WHERE attname LIKE 'zdm\_%' AND NOT attisdropped AND attrelid::regclass::text ~ '^(account|part)')
                    + (SELECT count(*) FROM pg_constraint WHERE NOT convalidated OR conname LIKE 'zdm%')
                    + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~zdm%')}), '0', "$where: nothing of zdm is left");
    return;
}

# drop_column has a cutover; the way there and back and there.
sub finish
{
    my ($call) = @_;
    if ($call =~ /drop_column/)
    {
        for my $goal ([ 'cutover', 'soak' ], [ 'revert', 'ready' ], [ 'cutover', 'soak' ], [ 'contract', 'done' ])
        {
            value("SELECT zdm.$goal->[0]('m')");
            value("CALL zdm.wait('m', '$goal->[1]', 60)");
        }
    }
    value(q{CALL zdm.wait('m', 'done', 60)});
    return;
}

# --- Under load
value('CREATE EXTENSION zdm');
value($tables);
# useless demands a value until it is hidden, and is not there afterwards; so the application gives it by another name.
value('ALTER TABLE account ALTER useless SET DEFAULT 1');
my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
append_to_file($script, q{
\set id random(1, 60000)
\set fresh random(100000, 1000000000)
\set day random(0, 199)
BEGIN;
UPDATE account SET balance = balance + 1 WHERE id = :id;
INSERT INTO account (id, balance, code) VALUES (:fresh, 1, 'new') ON CONFLICT (id) DO UPDATE SET balance = account.balance + 1;
DELETE FROM account WHERE id = :id + 1;
INSERT INTO part (id, day, note) VALUES (:fresh, :day, 'load');
UPDATE part SET note = 'changed' WHERE id = :id;
END;
});
# nick gets its value by default from the moment on at which NULL is refused.
value(q{ALTER TABLE account ALTER nick SET DEFAULT 'by default'});
my ($out, $err) = ('', '');
local %ENV = $node->_get_env();
my $load = IPC::Run::start(
    [ 'pgbench', '-n', '-f', $script, '-c', '3', '-R', '100', '-T', '15', '--max-tries=1', 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);
for my $change (@changes)
{
    value("SELECT $change->[0]");
    finish($change->[0]);
}
ok($load->pumpable, 'all of it happened under load');
$load->finish;
is($load->result(0), 0, 'pgbench ended well') or diag($err);
like($out, qr/number of failed transactions: 0 /, 'no transaction failed') or diag("$out\n$err");
value('ALTER TABLE account ALTER nick DROP DEFAULT');
is(dump_of('postgres'), $twin, 'the schema is that of plain DDL');
nothing_is_left('under load');
is(value('SELECT count(*) FROM account WHERE id <= 60000 AND twice IS NULL'), '0', 'every row was filled');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');

# --- Killed at some place of every migration, again and again
value("DROP TABLE account, part; $tables");
my $kills = 0;
for my $change (@changes)
{
    value("SET zdm.pace = '0.2'; SELECT $change->[0]");
    for my $try (1 .. 3)
    {
        pause(0.02 * $try * $try);
        my $pid = value('SELECT coalesce(zdm.worker_pid(), 0)');
        next if $pid eq '0';
        my $log = -s $node->logfile;
        kill 9, $pid;
        for my $attempt (1 .. 300)
        {
            my $said = slurp_file($node->logfile, $log);
            $kills++ if $said =~ /ready to accept connections/;
            # It may have left by itself just before.
            last if $said =~ /ready to accept connections/ || ($attempt > 20 && $said !~ /was terminated by signal 9/);
            pause(0.1);
        }
        pause(0.1) until $node->psql('postgres', 'SELECT zdm.wake()') == 0;
    }
    finish($change->[0]);
}
cmp_ok($kills, '>=', 4, "killed $kills times");
is(dump_of('postgres'), $twin, 'killed: the schema is that of plain DDL');
is(value($rows), $twin_rows, 'killed: and so are the rows');
nothing_is_left('killed');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal (4|6|7|8|11)\b/, 'nobody crashed but by our hand');
$node->stop;
done_testing();
