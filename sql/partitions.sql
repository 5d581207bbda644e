-- Partitioned tables: leaf by leaf; a partition that is attached later is found and done too.
CREATE EXTENSION zdm;
CREATE TABLE m (id integer, at date, v integer DEFAULT 1, gone text) PARTITION BY RANGE (at);
ALTER TABLE m DROP gone;
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE m2 (v integer DEFAULT 2, extra text, id integer, at date);
ALTER TABLE m2 DROP extra;
ALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE m3 PARTITION OF m FOR VALUES FROM ('2026-03-01') TO ('2026-05-01') PARTITION BY RANGE (at);
CREATE TABLE m31 PARTITION OF m3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
INSERT INTO m SELECT g, date '2026-01-01' + g % 85, g FROM generate_series(1, 3000) g;
SELECT zdm.change_type('m', 'v', 'bigint', name => 'p');
CALL zdm.wait('p', 'ready', 60);
SELECT kind, relation_name, rows_done, done FROM zdm.scan ORDER BY kind, relation;
SELECT count(*) FILTER (WHERE v = zdm_new_v) AS same, count(*) FROM m;
INSERT INTO m VALUES (9001, '2026-02-03', 10);
INSERT INTO m2 (id, at, v) VALUES (9002, '2026-02-03', 20);
UPDATE m SET v = 30, at = '2026-01-05' WHERE id = 9002;
SELECT tableoid::regclass, * FROM m WHERE id > 9000 ORDER BY id;
-- Attached after verify: copied before cutover.
CREATE TABLE m32 (LIKE m3);
INSERT INTO m32 (id, at, v) SELECT g, '2026-04-02', g FROM generate_series(5000, 5100) g;
ALTER TABLE m3 ATTACH PARTITION m32 FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT zdm.verify('p');
\d m
\d m2
SELECT count(*), sum(v), pg_typeof(max(v)) FROM m;
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT zdm.contract('p');
CALL zdm.wait('p', 'done', 60);
\d m
\d m32
SELECT tgname FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM pg_partition_tree('m'));
-- An index that a partition alone has comes along (carry_partition.sql has all else that it may have).
CREATE INDEX m1_v ON m1 (v) WHERE v > 0;
SELECT zdm.change_type('m', 'v', 'numeric', name => 'alone');
CALL zdm.wait('alone', 'ready', 60);
SELECT zdm.cutover('alone');
CALL zdm.wait('alone', 'soak', 60);
\d m1
SELECT zdm.revert('alone');
CALL zdm.wait('alone', 'ready', 60);
\d m1
SELECT zdm.abort('alone');
CALL zdm.wait('alone', 'aborted', 60);
DROP TABLE m;
DROP EXTENSION zdm;
