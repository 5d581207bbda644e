# Called off while its last step is under way, a migration is either done, and abort says so, or it is taken back: it is
# never done with another target, which nobody would ever reach.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nautovacuum = off\nfsync = off");
$node->start;
sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
value(q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id integer PRIMARY KEY, v integer);
    INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
    CREATE PROCEDURE race(rounds integer) LANGUAGE plpgsql AS $$
    DECLARE
        last text;
    BEGIN
        FOR round IN 1 .. rounds LOOP
            PERFORM zdm.set_not_null('t', 'v', name => 'm');
            COMMIT;
            -- As near to its end as can be.
            LOOP
                SELECT phase INTO last FROM zdm.migration WHERE name = 'm' ORDER BY id DESC LIMIT 1;
                EXIT WHEN last IN ('build', 'done');
                COMMIT;
            END LOOP;
            PERFORM pg_sleep(random() * 0.03);
            BEGIN
                PERFORM zdm.abort('m');
            EXCEPTION WHEN OTHERS THEN
                IF SQLERRM NOT LIKE '%cannot be aborted: it is done%' THEN RAISE; END IF;
            END;
            COMMIT;
            LOOP
                SELECT phase INTO last FROM zdm.migration WHERE name = 'm' ORDER BY id DESC LIMIT 1;
                EXIT WHEN last IN ('done', 'aborted');
                COMMIT;
                PERFORM pg_sleep(0.002);
            END LOOP;
            COMMIT;
            IF last = 'done' THEN ALTER TABLE t ALTER v DROP NOT NULL; END IF;
            COMMIT;
        END LOOP;
    END $$});
value('CALL race(150)');
is(value(q{SELECT count(*) FROM zdm.migration WHERE phase <> target}), '0', 'each has reached what it was asked for last');
cmp_ok(value(q{SELECT count(DISTINCT phase) FROM zdm.migration}), '>=', 2, 'some were done, some were called off in time');
is(value(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c'}), '0', 'nothing is left');
$node->stop;
done_testing();
