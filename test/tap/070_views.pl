# Views go with their column while clients read and write through them: nothing fails but what would fail after any
# ALTER, nothing waits for ever, and in the end the dump of the schema is that of a twin changed by plain DDL. Then
# kill -9 of the worker around cutover and revert: views and table always agree with the phase.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\nautovacuum = off");
$node->start;

# The dump's statements, each table's columns in the order of their names: a new column is the last one.
sub schema
{
    my ($database) = @_;
    my $dump = '';
    IPC::Run::run([ 'pg_dump', '-s', '-n', 'public', '-d', $node->connstr($database) ], '>', \$dump) or die 'pg_dump';
    $dump =~ s/^(?:--|SET |SELECT |\\).*\n//mg;
    my @statements;
    for my $statement (split /;\n/, $dump)
    {
        next if $statement =~ /EXTENSION/ || $statement !~ /\S/;
        my @lines = map { s/,$//r } grep { /\S/ } split /\n/, $statement;
        push @statements, join("\n", $lines[0] =~ /CREATE TABLE/ ? ($lines[0], sort @lines[ 1 .. $#lines ]) : @lines);
    }
    return join("\n;\n", sort @statements);
}

$node->safe_psql('postgres', q{CREATE ROLE reader; CREATE DATABASE own});
my $views = q{
    CREATE VIEW list WITH (security_barrier) AS SELECT id, amount, amount * 2 AS twice, owner FROM account;
    CREATE VIEW totals AS SELECT owner, sum(twice) AS total, max(amount) AS most FROM list GROUP BY owner;
    CREATE VIEW rich AS SELECT id, owner FROM account WHERE amount > 500;
    CREATE VIEW cheap AS SELECT id, amount, owner FROM account WHERE amount < 100000 WITH CASCADED CHECK OPTION;
    COMMENT ON COLUMN list.twice IS 'twice the amount';
    GRANT SELECT ON list, rich TO reader; GRANT UPDATE (amount) ON cheap TO reader;
    CREATE RULE close AS ON DELETE TO rich DO INSTEAD UPDATE account SET amount = 0 WHERE account.id = old.id;
};
$node->safe_psql('own', q{
    CREATE TABLE account (id serial PRIMARY KEY, owner integer, amount integer NOT NULL);
    CREATE INDEX ON account (amount);
    INSERT INTO account (owner, amount) SELECT g % 50, g % 1000 FROM generate_series(1, 5000) g;} . $views);
$node->safe_psql('postgres', 'CREATE DATABASE twin TEMPLATE own');
$node->safe_psql('twin', "DROP VIEW totals, list, rich, cheap; ALTER TABLE account ALTER amount TYPE bigint; $views");
$node->safe_psql('own', 'CREATE EXTENSION zdm');

sub value { my ($sql) = @_; return $node->safe_psql('own', $sql); }
sub move
{
    my ($call, $phase) = @_;
    value("SELECT zdm.$call('wide')");
    value("CALL zdm.wait('wide', '$phase', 120)");
    return;
}

# Short transactions of several statements through the views, from the outermost in and the other way round.
my $through = $node->basedir . '/through.sql';
append_to_file($through, q{
\set id random(1, 5000)
\set amount random(1, 900)
UPDATE cheap SET amount = :amount WHERE id = :id;
SELECT total, most FROM totals WHERE owner = :id % 50;
BEGIN;
SELECT amount, twice FROM list WHERE id = :id;
INSERT INTO cheap (owner, amount) VALUES (:id % 50, :amount);
COMMIT;
DELETE FROM rich WHERE id = :id;
SELECT count(*) FROM account WHERE amount = :amount;
});
# A prepared statement over a view that stays the same object.
my $prepared = $node->basedir . '/prepared.sql';
append_to_file($prepared, "\\set id random(1, 5000)\nSELECT id, owner FROM rich WHERE id = :id;\n");

my @loads;
{
    local %ENV = $node->_get_env();
    for my $load ([ 'simple', $through, 3, 150 ], [ 'prepared', $prepared, 2, 150 ])
    {
        my ($mode, $file, $clients, $rate) = @$load;
        my ($out, $err) = ('', '');
        my $run = IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-R', $rate, '-T', '20', '-M', $mode, '-f', $file, 'own' ],
            '<', \undef, '>', \$out, '2>', \$err);
        push @loads, [ $mode, $run, \$out, \$err ];
    }
}
value(q{SELECT zdm.change_type('account', 'amount', 'bigint', name => 'wide')});
value(q{CALL zdm.wait('wide', 'ready', 120)});
for my $round (1 .. 3)
{
    move('cutover', 'soak');
    is(value(q{SELECT count(*) FROM (SELECT most FROM totals WHERE most > 3000000000) AS s}), '0', "round $round: views work in soak");
    is(value(q{SELECT pg_typeof(most) FROM totals LIMIT 1}), 'bigint', "round $round: the new type flows through");
    move('revert', 'ready');
    is(value(q{SELECT pg_typeof(most) FROM totals LIMIT 1}), 'integer', "round $round: and back");
}
for my $load (@loads)
{
    my ($mode, $run, $out, $err) = @$load;
    $run->finish;
    is($$err =~ s/^pgbench \(.*\n//mr, '', "$mode: no client failed");
    like($$out, qr/number of failed transactions: 0 /, "$mode: no transaction failed");
}
is(value(q{SELECT zdm.verify('wide')}), '0', 'old and new are equal after all of it');
unlike(slurp_file($node->logfile), qr/deadlock detected|could not open relation|cache lookup failed/, 'nobody was in another\'s way');
note(value(q{SELECT format('longest hold %s ms, longest wait %s ms', max(longest_hold_ms), max(longest_wait_ms)) FROM zdm.step WHERE kind = 'swap'}));

# All or nothing.
sub until_server_answers
{
    for my $attempt (1 .. 600)
    {
        return if $node->psql('own', 'SELECT 1') == 0;
        select(undef, undef, undef, 0.1);
    }
    die 'the server did not come back';
}
my $shape = q{
    SELECT CASE WHEN (SELECT phase FROM zdm.migration) = 'soak' THEN 'bigint' ELSE 'integer' END
           = ALL (ARRAY[pg_typeof(list.amount)::text, pg_typeof(totals.most)::text, pg_typeof(account.amount)::text])
      FROM account LEFT JOIN list ON true LEFT JOIN totals ON true LIMIT 1};
my $killed = 0;
for my $round (0 .. 7)
{
    my ($call, $phase) = $round % 2 ? ('revert', 'ready') : ('cutover', 'soak');
    my $pid = value(q{SELECT zdm.worker_pid()});
    value("SELECT zdm.$call('wide')");
    $pid = value(q{SELECT zdm.worker_pid()}) if $pid eq '';
    select(undef, undef, undef, 0.005 * $round);
    if ($pid ne '')
    {
        my $log = -s $node->logfile;
        kill 9, $pid;
        my $seen = '';
        for my $attempt (1 .. 600)
        {
            $seen = slurp_file($node->logfile, $log);
            # It may have done its work and left by itself.
            last if $seen =~ /database system is ready to accept connections/ || ($attempt > 30 && $seen !~ /was terminated by signal 9/);
            die 'the server does not recover' if $attempt == 600;
            select(undef, undef, undef, 0.1);
        }
        $killed++ if $seen =~ /was terminated by signal 9/;
        until_server_answers();
    }
    is(value($shape), 't', "$call, killed: views and table are as the phase says");
    value('SELECT zdm.wake()');
    value("CALL zdm.wait('wide', '$phase', 120)");
    is(value($shape), 't', "$call: and so in the end");
}
cmp_ok($killed, '>', 0, "the worker was killed $killed times");
move('cutover', 'soak');
move('contract', 'done');
is(schema('own'), schema('twin'), 'pg_dump tells no difference from plain DDL');
done_testing();
