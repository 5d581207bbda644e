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
DROP EXTENSION zdm;
