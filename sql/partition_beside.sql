-- What others do to partitions while a migration is under way: rows that were written where no sync trigger was are never
-- taken for equal, neither at cutover nor at revert.
\set VERBOSITY terse
CREATE EXTENSION zdm;
CREATE TABLE p (id integer, at integer, v integer NOT NULL DEFAULT 1, was integer) PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
INSERT INTO p SELECT g, g % 20, g, g FROM generate_series(1, 100) g;
-- Detached, written to, attached again: nothing of that reached the new column.
SELECT zdm.change_type('p', 'v', 'bigint', name => 'p');
CALL zdm.wait('p', 'ready', 60);
ALTER TABLE p DETACH PARTITION p1;
UPDATE p1 SET v = v + 1000;
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES FROM (0) TO (10);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT class, count(*) FROM zdm.discrepancy WHERE name = 'p' AND resolved_at IS NULL GROUP BY 1;
SELECT zdm.repair('p');
SELECT zdm.resume('p');
CALL zdm.wait('p', 'soak', 60);
SELECT count(*) FILTER (WHERE v = was + 1000 AND at < 10), count(*) FILTER (WHERE v = was AND at >= 10), pg_typeof(max(v)) FROM p;
-- The same in soak, where the old column is to follow, and a partition that comes with rows.
ALTER TABLE p DETACH PARTITION p2;
UPDATE p2 SET v = v + 2000;
ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20);
CREATE TABLE p3 (LIKE p INCLUDING ALL);
INSERT INTO p3 (id, at, v, was) SELECT g, 20, g, g FROM generate_series(101, 110) g;
ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30);
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT relation::regclass, class, count(*) FROM zdm.discrepancy WHERE name = 'p' AND resolved_at IS NULL GROUP BY 1, 2 ORDER BY 1;
SELECT zdm.repair('p');
SELECT zdm.resume('p');
CALL zdm.wait('p', 'ready', 60);
SELECT count(*) FILTER (WHERE v = was + 1000 AND at < 10), count(*) FILTER (WHERE v = was + 2000 AND at BETWEEN 10 AND 19),
       count(*) FILTER (WHERE v = was AND at >= 20), pg_typeof(max(v)) FROM p;
-- A trigger that was disabled for a while in soak is put back, and its rows are looked at.
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
ALTER TABLE p DISABLE TRIGGER USER;
UPDATE p SET v = was WHERE id = 1;
ALTER TABLE p ENABLE TRIGGER USER;
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.repair('p');
SELECT zdm.resume('p');
CALL zdm.wait('p', 'ready', 60);
SELECT id, v, pg_typeof(v) FROM p WHERE id = 1;
-- Where nothing was away, a revert looks at no row again.
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT max(updated_at) AS verified_at FROM zdm.scan WHERE kind = 'verify' \gset
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT max(updated_at) = :'verified_at' FROM zdm.scan WHERE kind = 'verify';
SELECT zdm.abort('p');
CALL zdm.wait('p', 'aborted', 60);
SELECT tgname FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('p'));
\d p3
DROP TABLE p;
-- Partitions that go and come while the column has indexes: what was to be done on one that is gone is gone with it, and
-- what comes in soak is given its old side before a revert. No index is left invalid, no partition without.
CREATE TABLE q (id integer, at integer, v integer NOT NULL DEFAULT 1) PARTITION BY RANGE (at);
CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (10);
CREATE TABLE q2 PARTITION OF q FOR VALUES FROM (10) TO (20);
CREATE TABLE q3 PARTITION OF q FOR VALUES FROM (20) TO (30);
CREATE TABLE q4 PARTITION OF q FOR VALUES FROM (30) TO (40);
ALTER TABLE q ADD CONSTRAINT q_key UNIQUE (v, at);
CREATE INDEX q_v ON q ((v + 1));
INSERT INTO q SELECT g, g % 40, g FROM generate_series(1, 200) g;
CREATE VIEW parts AS
    SELECT relid::regclass AS part,
           (SELECT count(*) FROM pg_index i WHERE i.indrelid = relid AND i.indisvalid) AS valid,
           (SELECT count(*) FROM pg_index i WHERE i.indrelid = relid AND NOT i.indisvalid) AS invalid,
           (SELECT count(*) FROM pg_index i WHERE i.indrelid = relid
               AND (SELECT relispartition OR relkind = 'I' FROM pg_class c WHERE c.oid = i.indexrelid)) AS whole
      FROM pg_partition_tree('q');
SET zdm.pace = '0.01';
SELECT zdm.change_type('q', 'v', 'bigint', name => 'q');
DROP TABLE q1;
SELECT zdm.configure('q', 'pace', 'full');
RESET zdm.pace;
CALL zdm.wait('q', 'ready', 60);
DROP TABLE q2;
ALTER TABLE q DETACH PARTITION q3;
CREATE TABLE q5 PARTITION OF q FOR VALUES FROM (40) TO (50);
INSERT INTO q VALUES (300, 40, 300);
SELECT zdm.cutover('q');
CALL zdm.wait('q', 'soak', 60);
SELECT zdm.verify('q');
DROP TABLE q4;
CREATE TABLE q6 PARTITION OF q FOR VALUES FROM (50) TO (60);
CREATE TABLE q7 PARTITION OF q FOR VALUES FROM (60) TO (80) PARTITION BY RANGE (at);
CREATE TABLE q71 PARTITION OF q7 FOR VALUES FROM (60) TO (70);
INSERT INTO q VALUES (301, 50, 301), (302, 60, 302);
SELECT zdm.revert('q');
CALL zdm.wait('q', 'ready', 60);
INSERT INTO q VALUES (303, 50, 301);
INSERT INTO q VALUES (303, 60, 302) ON CONFLICT (v, at) DO UPDATE SET id = 303;
SELECT part, whole, invalid FROM parts ORDER BY part;
SELECT zdm.cutover('q');
CALL zdm.wait('q', 'soak', 60);
SELECT id, at, v, pg_typeof(v) FROM q ORDER BY id;
DROP TABLE q71;
SELECT zdm.contract('q');
CALL zdm.wait('q', 'done', 60);
SELECT part, valid, invalid FROM parts ORDER BY part;
SELECT conname, conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'u' AND conrelid IN (SELECT relid FROM pg_partition_tree('q')) ORDER BY 2;
SELECT relname FROM pg_class WHERE relname LIKE 'zdm\_%' AND relnamespace = 'public'::regnamespace AND relname NOT LIKE '%q3%';
-- An index that was built for a partition which has come back with one of the server's making is not left behind.
INSERT INTO q SELECT g, 45, g FROM generate_series(1000, 3000) g;
BEGIN;
SELECT zdm.create_index('CREATE INDEX q_id ON q (id)', name => 'i');
CREATE TABLE q8 PARTITION OF q FOR VALUES FROM (100) TO (110);
COMMIT;
CALL zdm.wait('i', 'done', 60);
SELECT part, valid, invalid FROM parts ORDER BY part;
DROP VIEW parts;
DROP TABLE q, q3;
-- An index that another migration is building on the columns: a change of their type waits until that is finished, and takes
-- it along, whether it is begun before or after the change of type.
CREATE TABLE x (k integer, a integer, b integer) PARTITION BY LIST (k);
CREATE TABLE x1 PARTITION OF x FOR VALUES IN (1);
CREATE TABLE x2 PARTITION OF x FOR VALUES IN (2) PARTITION BY LIST (k);
CREATE TABLE x21 PARTITION OF x2 FOR VALUES IN (2);
INSERT INTO x SELECT 1 + g % 2, g, g FROM generate_series(1, 10000) g;
BEGIN;
SELECT zdm.change_type('x', 'a', 'bigint', name => 'a');
SELECT zdm.create_index('CREATE INDEX x_a_b ON x (a, b)', name => 'x_a_b');
COMMIT;
CALL zdm.wait('a', 'ready', 60);
CALL zdm.wait('x_a_b', 'done', 60);
CREATE PROCEDURE until_it_waits(name text) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 600 LOOP
        EXIT WHEN EXISTS (SELECT FROM zdm.status s WHERE s.name = until_it_waits.name AND s.state = 'waiting' AND s.message LIKE 'waits for migration%');
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
INSERT INTO x VALUES (2, 20000, 20000), (2, 20000, 20000);
SELECT zdm.create_index('CREATE UNIQUE INDEX x_k_a ON x (k, a)', name => 'x_k_a');
\set VERBOSITY sqlstate
CALL zdm.wait('x_k_a', 'done', 60);
\set VERBOSITY terse
SELECT zdm.cutover('a');
CALL until_it_waits('a');
SELECT phase, target, state, message FROM zdm.status WHERE name = 'a';
UPDATE x SET a = 20001 WHERE ctid = (SELECT max(ctid) FROM x WHERE a = 20000) AND k = 2;
SELECT zdm.resume('x_k_a');
CALL zdm.wait('x_k_a', 'done', 60);
CALL zdm.wait('a', 'soak', 60);
SELECT zdm.contract('a');
CALL zdm.wait('a', 'done', 60);
SELECT zdm.add_constraint('x', 'x_key', 'PRIMARY KEY (b, k)', name => 'x_key');
\set VERBOSITY sqlstate
CALL zdm.wait('x_key', 'done', 60);
\set VERBOSITY terse
SELECT zdm.change_type('x', 'b', 'bigint', name => 'b');
CALL until_it_waits('b');
SELECT zdm.pause('x_key');
CALL until_it_waits('b');
SELECT phase, target, state, message LIKE '%"x_key"%' AS for_it FROM zdm.status WHERE name = 'b';
UPDATE x SET b = 20001 WHERE a = 20001;
SELECT zdm.resume('x_key');
CALL zdm.wait('x_key', 'done', 60);
SELECT zdm.cutover('b');
CALL zdm.wait('b', 'soak', 60);
SELECT zdm.contract('b');
CALL zdm.wait('b', 'done', 60);
\d x
\d x21
SELECT indrelid::regclass, count(*), bool_and(indisvalid) AS valid FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree('x')) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM x WHERE a <> b;
DROP PROCEDURE until_it_waits;
DROP TABLE x;
-- Two migrations of columns that share an index: in any order of cutover, revert and contract.
CREATE TABLE y (k integer, a integer, b integer) PARTITION BY LIST (k);
CREATE TABLE y1 PARTITION OF y FOR VALUES IN (1);
CREATE TABLE y2 PARTITION OF y FOR VALUES IN (2);
CREATE INDEX ON y (a, b);
CREATE INDEX y1_alone ON y1 (b, a) WHERE a > 5;
INSERT INTO y SELECT 1 + g % 2, g, g FROM generate_series(1, 1000) g;
CREATE PROCEDURE go(migration text, phase text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM CASE phase WHEN 'ready' THEN zdm.revert(migration) WHEN 'soak' THEN zdm.cutover(migration) ELSE zdm.contract(migration) END;
    COMMIT;
    CALL zdm.wait(migration, phase, 60);
END $$;
SELECT zdm.change_type('y', 'a', 'bigint', name => 'ya');
CALL zdm.wait('ya', 'ready', 60);
SELECT zdm.change_type('y', 'b', 'bigint', name => 'yb');
CALL zdm.wait('yb', 'ready', 60);
CALL go('yb', 'soak');
CALL go('ya', 'soak');
CALL go('ya', 'ready');
CALL go('ya', 'soak');
CALL go('yb', 'done');
CALL go('ya', 'ready');
CALL go('ya', 'soak');
CALL go('ya', 'done');
SELECT c.relname, pg_get_indexdef(indexrelid), indisvalid FROM pg_index JOIN pg_class c ON c.oid = indexrelid
 WHERE indrelid IN (SELECT relid FROM pg_partition_tree('y')) ORDER BY 1;
SELECT count(*), count(*) FILTER (WHERE a = b), pg_typeof(max(a)), pg_typeof(max(b)) FROM y;
DROP TABLE y;
DROP PROCEDURE go;
DROP EXTENSION zdm;
