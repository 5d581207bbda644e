# A table is split under load, back and forth and to the end: the schema is the one that plain DDL makes, with all that
# hung on the columns, and so are the rows.
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
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off\nfsync = off");
$node->start;

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

my $tables = q{
    CREATE TABLE country (id integer PRIMARY KEY);
    INSERT INTO country SELECT generate_series(1, 10);
    CREATE TABLE person (
        id bigint PRIMARY KEY, name text NOT NULL, bio text COLLATE "C", karma integer NOT NULL DEFAULT 0 CONSTRAINT karma_check CHECK (karma >= 0),
        country_id integer CONSTRAINT lives_in REFERENCES country ON DELETE SET NULL DEFERRABLE, email text UNIQUE,
        score numeric(10, 2), ticket serial NOT NULL, tags text[] DEFAULT '{}');
    ALTER TABLE person ALTER bio SET STORAGE EXTERNAL, ALTER karma SET STATISTICS 77, ALTER score SET (n_distinct = -0.5), ALTER tags SET COMPRESSION pglz;
    CREATE INDEX person_karma ON person (karma DESC NULLS LAST) INCLUDE (email) WHERE bio IS NOT NULL;
    CREATE INDEX person_lower ON person (lower(email));
    CREATE INDEX person_tags ON person USING gin (tags);
    COMMENT ON COLUMN person.bio IS 'In their own words';
    GRANT SELECT ON person TO reader;
    GRANT UPDATE (bio) ON person TO reader;
    INSERT INTO person SELECT g, 'n' || g, CASE WHEN g % 3 > 0 THEN repeat('b', g % 50) END, g % 7, 1 + g % 10, 'e' || g, g / 3.0, g, ARRAY[g::text]
      FROM generate_series(1, 20000) g;
    SELECT setval('person_ticket_seq', 20000);
};
# By hand, while the application stands still.
my $plain = q{
    CREATE TABLE profile (id bigint NOT NULL, bio text COLLATE "C", karma integer DEFAULT 0 NOT NULL, country_id integer, email text, score numeric(10, 2),
        ticket integer DEFAULT nextval('person_ticket_seq') NOT NULL, tags text[] DEFAULT '{}');
    ALTER TABLE profile ALTER bio SET STORAGE EXTERNAL, ALTER karma SET STATISTICS 77, ALTER score SET (n_distinct = -0.5), ALTER tags SET COMPRESSION pglz;
    ALTER SEQUENCE person_ticket_seq OWNED BY profile.ticket;
    COMMENT ON COLUMN profile.bio IS 'In their own words';
    GRANT SELECT ON profile TO reader;
    GRANT UPDATE (bio) ON profile TO reader;
    INSERT INTO profile SELECT id, bio, karma, country_id, email, score, ticket, tags FROM person;
    ALTER TABLE profile ADD CONSTRAINT profile_pkey PRIMARY KEY (id), ADD CONSTRAINT karma_check CHECK (karma >= 0),
        ADD CONSTRAINT profile_email_key UNIQUE (email),
        ADD CONSTRAINT lives_in FOREIGN KEY (country_id) REFERENCES country ON DELETE SET NULL DEFERRABLE,
        ADD CONSTRAINT profile_id_fkey FOREIGN KEY (id) REFERENCES person ON UPDATE CASCADE ON DELETE CASCADE;
    CREATE INDEX profile_karma ON profile (karma DESC NULLS LAST) INCLUDE (email) WHERE bio IS NOT NULL;
    CREATE INDEX profile_lower ON profile (lower(email));
    CREATE INDEX profile_tags ON profile USING gin (tags);
    ALTER TABLE person DROP bio, DROP karma, DROP country_id, DROP email, DROP score, DROP ticket, DROP tags;
};

sub dump_of { my ($database) = @_; return schema_of($node, $database, [ 'country', 'person*', 'profile*' ]); }
my $rows = q{SELECT md5(string_agg(p::text, ',' ORDER BY id)) FROM person p WHERE id <= 20000
             UNION ALL SELECT md5(string_agg(f::text, ',' ORDER BY id)) FROM profile f WHERE id <= 20000};

$node->safe_psql('postgres', 'CREATE ROLE reader');
$node->safe_psql('postgres', 'CREATE DATABASE twin');
$node->safe_psql('twin', "$tables $plain");

value('CREATE EXTENSION zdm');
value($tables);
# An old application all the way through the first half, one that knows both tables in the second; on rows of their own.
my $directory = PostgreSQL::Test::Utils::tempdir();
append_to_file("$directory/old.sql", q{
\set fresh random(100000, 1000000000)
INSERT INTO person (id, name, bio, karma) VALUES (:fresh, 'new', 'load', 1) ON CONFLICT (id) DO UPDATE SET karma = person.karma + 1;
UPDATE person SET bio = 'changed', karma = karma + 1 WHERE id = :fresh;
DELETE FROM person WHERE id BETWEEN :fresh AND :fresh + 1000000 AND id > 100000;
});
my ($out, $err) = ('', '');
local %ENV = $node->_get_env();
my $load = IPC::Run::start([ 'pgbench', '-n', '-f', "$directory/old.sql", '-c', '3', '-R', '100', '-T', '120', '--max-tries=1', 'postgres' ],
    '<', \undef, '>', \$out, '2>', \$err);
value(q{SELECT zdm.split_table('person', 'profile', '{bio,karma,country_id,email,score,ticket,tags}', name => 's')});
value(q{CALL zdm.wait('s', 'ready', 60)});
is(value(q{SELECT zdm.verify('s')}), '0', 'ready: the two tables agree');
for my $goal ([ 'cutover', 'soak' ], [ 'revert', 'ready' ], [ 'cutover', 'soak' ])
{
    value("SELECT zdm.$goal->[0]('s')");
    value("CALL zdm.wait('s', '$goal->[1]', 60)");
    is(value(q{SELECT zdm.verify('s')}), '0', "$goal->[1] after $goal->[0]: the two tables agree");
}
ok($load->pumpable, 'all of it happened under load');
# Contract takes the columns away that the old application writes.
$load->signal('ALRM');
$load->finish;
like($out, qr/number of failed transactions: 0 /, 'no transaction failed') or diag("$out\n$err");
value(q{SELECT zdm.contract('s')});
value(q{CALL zdm.wait('s', 'done', 60)});

is(dump_of('postgres'), dump_of('twin'), 'the schema is that of plain DDL');
is(value($rows), $node->safe_psql('twin', $rows), 'and so are the rows');
is(value(q{SELECT nextval('person_ticket_seq') > 20000}), 't', 'no ticket is given twice');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
$node->stop;
done_testing();
