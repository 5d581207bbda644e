# Keys that several tables share, all widened at the same time under load: each closure is a migration of its own,
# two of them have a table, a primary key and a table's rows in common. In the end the dump of the schema is that of
# a twin changed by plain DDL, and so is the data. Where the sample database is at hand (ZDM_SAMPLE names the file),
# the same with every key of it.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off");
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
sub data
{
    my ($database) = @_;
    return $node->safe_psql($database, q{
        SELECT string_agg(format('%s %s', c.relname,
                   (xpath('/row/h/text()', query_to_xml(format('SELECT md5(string_agg(r::text, chr(10) ORDER BY r::text)) AS h FROM (SELECT %s FROM %I) AS r',
                       (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute
                         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped), c.relname), false, true, '')))[1]::text), chr(10) ORDER BY c.relname)
          FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'});
}

sub all_reach
{
    my ($database, $phase) = @_;
    for my $name (split /\n/, $node->safe_psql($database, 'SELECT name FROM zdm.status'))
    {
        $node->safe_psql($database, "CALL zdm.wait('$name', '$phase', 180)");
    }
    return;
}

# Every primary key of one integer column, with all that refer to it.
sub widen_online
{
    my ($database) = @_;
    $node->safe_psql($database, q{
        SELECT zdm.change_type(c.oid::regclass, a.attname, 'bigint', name => c.relname)
          FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
         WHERE k.contype = 'p' AND array_length(k.conkey, 1) = 1 AND a.atttypid = 'integer'::regtype
           AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname});
    all_reach($database, 'ready');
    my $before = $node->safe_psql($database, 'SELECT count(*) FROM zdm.status WHERE discrepancies = 0');
    ok($before > 1, "$database: $before migrations ready at the same time");
    for my $step ([ 'cutover', 'soak', 'name' ], [ 'revert', 'ready', 'soak_since DESC' ], [ 'cutover', 'soak', 'name DESC' ],
        [ 'contract', 'done', 'name' ])
    {
        my ($call, $phase, $order) = @$step;
        $node->safe_psql($database, "SELECT zdm.$call(name) FROM zdm.migration ORDER BY $order");
        all_reach($database, $phase);
        next if $phase eq 'done';
        is($node->safe_psql($database, 'SELECT sum(zdm.verify(name)) FROM zdm.status'), '0', "$database: $phase, 0 discrepancies");
    }
    return;
}
sub widen_by_hand
{
    my ($database) = @_;
    $node->safe_psql($database, q{DO $$
        DECLARE keys text[]; k record;
        BEGIN
            SELECT array_agg(format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)))
              INTO keys FROM pg_constraint WHERE contype = 'f';
            CREATE TEMP TABLE changed AS
                SELECT DISTINCT c.oid::regclass::text AS relation, a.attname
                  FROM pg_constraint f CROSS JOIN LATERAL unnest(CASE f.contype WHEN 'f' THEN f.conkey
                           ELSE CASE WHEN array_length(f.conkey, 1) = 1 THEN f.conkey END END) AS n(attnum)
                  JOIN pg_class c ON c.oid = f.conrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = n.attnum
                 WHERE f.contype IN ('p', 'f') AND a.atttypid = 'integer'::regtype AND c.relnamespace = 'public'::regnamespace;
            FOR k IN SELECT * FROM pg_constraint WHERE contype = 'f' LOOP
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname);
            END LOOP;
            FOR k IN SELECT * FROM changed LOOP
                EXECUTE format('ALTER TABLE %s ALTER %I TYPE bigint', k.relation, k.attname);
            END LOOP;
            FOR i IN 1 .. array_length(keys, 1) LOOP EXECUTE keys[i]; END LOOP;
        END $$});
    return;
}

$node->safe_psql('postgres', 'CREATE DATABASE own');
$node->safe_psql('own', q{
    CREATE TABLE person (id serial PRIMARY KEY, boss integer REFERENCES person ON DELETE SET NULL, name text);
    CREATE TABLE team (id integer GENERATED BY DEFAULT AS IDENTITY (START 500) PRIMARY KEY, name text);
    ALTER TABLE team ALTER id DROP IDENTITY;
    CREATE TABLE member (team integer REFERENCES team ON DELETE CASCADE, person integer REFERENCES person ON UPDATE CASCADE ON DELETE CASCADE,
                         since date DEFAULT current_date, PRIMARY KEY (team, person));
    CREATE INDEX member_person ON member (person, team) INCLUDE (since);
    CREATE INDEX person_boss ON person (boss) WHERE boss IS NOT NULL;
    CREATE TABLE log (id bigserial PRIMARY KEY, team integer, person integer, FOREIGN KEY (team, person) REFERENCES member DEFERRABLE);
    INSERT INTO person (boss, name) SELECT nullif(g / 10, 0), 'p' || g FROM generate_series(1, 2000) g;
    INSERT INTO team SELECT g, 't' || g FROM generate_series(1, 100) g;
    INSERT INTO member (team, person) SELECT g % 100 + 1, g FROM generate_series(1, 2000) g;
    INSERT INTO log (team, person) SELECT g % 100 + 1, g FROM generate_series(1, 2000) g;
    CREATE TABLE tally (n bigint)});
$node->safe_psql('postgres', 'CREATE DATABASE twin TEMPLATE own');
$node->safe_psql('own', 'CREATE EXTENSION zdm');

# All of it can be told from the tables afterwards: what was written is what is there.
my $script = $node->basedir . '/load.sql';
append_to_file($script, q{
\set p random(1, 2000)
\set t random(1, 100)
BEGIN;
UPDATE person SET boss = (SELECT min(id) FROM person WHERE id > :t) WHERE id = :p;
INSERT INTO person (boss, name) VALUES (:p, 'new') RETURNING id AS new_person \gset
INSERT INTO member (team, person) VALUES (:t, :new_person) ON CONFLICT (team, person) DO NOTHING;
INSERT INTO log (team, person) VALUES (:t, :new_person);
INSERT INTO tally VALUES (1);
COMMIT;
});
my ($out, $err) = ('', '');
{
    local %ENV = $node->_get_env();
    my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '3', '-R', '60', '-T', '25', '-M', 'simple', '-f', $script, 'own' ],
        '<', \undef, '>', \$out, '2>', \$err);
    widen_online('own');
    $load->finish;
    is($load->result(0), 0, 'pgbench ended well') or diag($err);
}
like($out, qr/number of failed transactions: 0 /, 'no transaction failed') or diag("$out\n$err");
unlike("$out$err", qr/aborted|ERROR/, 'no client was aborted') or diag("$out\n$err");
is($node->safe_psql('own', q{SELECT (SELECT count(*) FROM tally) = (SELECT count(*) FROM person WHERE name = 'new')
    AND (SELECT count(*) FROM tally) = (SELECT count(*) FROM log) - 2000}), 't', 'nothing that was written is lost');
note($node->safe_psql('own', q{SELECT format('%s transactions; longest hold %s ms, longest wait %s ms',
    (SELECT count(*) FROM tally), max(longest_hold_ms), max(longest_wait_ms)) FROM zdm.step}));
widen_by_hand('twin');
$node->safe_psql('own', 'DROP EXTENSION zdm');
is(schema('own'), schema('twin'), 'the schema is that of plain DDL');

SKIP:
{
    skip 'no sample database (ZDM_SAMPLE)', 1 unless $ENV{ZDM_SAMPLE} && -r $ENV{ZDM_SAMPLE};
    my $sql = slurp_file($ENV{ZDM_SAMPLE});
    $sql =~ s/^(?:DROP DATABASE|CREATE DATABASE|\\c).*\n//mg;
    $node->safe_psql('postgres', 'CREATE DATABASE sample');
    my $file = $node->basedir . '/sample.sql';
    append_to_file($file, $sql);
    $node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('sample'), '-f', $file ], 'sample');
    $node->safe_psql('postgres', 'CREATE DATABASE sample_twin TEMPLATE sample');
    $node->safe_psql('sample', 'CREATE EXTENSION zdm');
    widen_online('sample');
    widen_by_hand('sample_twin');
    $node->safe_psql('sample', 'DROP EXTENSION zdm');
    is(schema('sample'), schema('sample_twin'), 'sample: the schema is that of plain DDL');
    is(data('sample'), data('sample_twin'), 'sample: so is the data');
}
unlike(slurp_file($node->logfile), qr/deadlock detected|PANIC|TRAP|was terminated by signal/, 'no deadlock, no crash');
$node->stop;
done_testing();
