-- Keys, indexes and foreign keys of partitioned tables: leaf by leaf beside the writes, put together at cutover
-- without reading a row. The catalogs are in the end what they were, but for the type.
CREATE EXTENSION zdm;
CREATE SCHEMA p;
SET search_path = p;
CREATE TABLE m (id integer, at date NOT NULL, v integer, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE m3 PARTITION OF m FOR VALUES FROM ('2026-03-01') TO ('2026-05-01') PARTITION BY RANGE (at);
CREATE TABLE m31 PARTITION OF m3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE m2 (v integer, gone text, id integer, at date NOT NULL, CONSTRAINT own_name PRIMARY KEY (id, at));
ALTER TABLE m2 DROP gone;
ALTER TABLE m ATTACH PARTITION m2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE INDEX m_partial ON m (id DESC, v) WHERE v > 5;
CREATE UNIQUE INDEX m_including ON m (at, id) INCLUDE (v);
ALTER TABLE m ADD CONSTRAINT m_unique UNIQUE (id, v, at);
-- A key from a partitioned table, and from a plain one.
CREATE TABLE d (id integer, at date, k integer, FOREIGN KEY (id, at) REFERENCES m) PARTITION BY HASH (k);
CREATE TABLE d0 PARTITION OF d FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE d1 PARTITION OF d FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE e (id integer, at date, FOREIGN KEY (id, at) REFERENCES m ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE);
INSERT INTO m SELECT g, date '2026-01-01' + g % 85, g FROM generate_series(1, 3000) g;
INSERT INTO d SELECT id, at, id FROM m WHERE id > 2000;
INSERT INTO e SELECT id, at FROM m WHERE id < 1000;
CREATE VIEW catalogs AS
    SELECT indrelid::regclass::text AS relation, pg_get_indexdef(indexrelid) AS definition, concat(indisvalid, indisunique, indisprimary, indimmediate) AS marks
      FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'p'::regnamespace)
    UNION ALL
    SELECT conrelid::regclass::text, concat_ws(' ', conname, pg_get_constraintdef(oid), confrelid::regclass), concat(convalidated, conislocal, coninhcount, conparentid > 0)
      FROM pg_constraint WHERE connamespace = 'p'::regnamespace AND contype <> 'n'
       -- The server names its keys to partitions as it likes.
       AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = confrelid AND c.relispartition);
CREATE TABLE public.before AS TABLE catalogs;
SELECT count(*) FROM public.before;

SELECT zdm.change_type('m', 'id', 'bigint', name => 'key');
CALL zdm.wait('key', 'ready', 60);
SELECT c.relname, s.object FROM zdm.step s JOIN pg_class c ON c.oid = s.relation WHERE s.kind = 'create_index' ORDER BY 1, 2;
-- Of a partition that comes later the counterparts are built before cutover.
CREATE TABLE m32 PARTITION OF m3 FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
INSERT INTO public.before SELECT * FROM catalogs WHERE definition ~ 'm32' AND definition !~ 'zdm';
SELECT zdm.cutover('key');
CALL zdm.wait('key', 'soak', 60);
\d m
\d m2
\d d0
\d e
INSERT INTO m (id, at) VALUES (5, '2026-01-06');
INSERT INTO m (id, at) VALUES (5, '2026-01-06') ON CONFLICT (id, at) DO NOTHING;
INSERT INTO d (id, at, k) VALUES (77777, '2026-01-06', 1);
DELETE FROM m WHERE id = 5;
UPDATE m SET id = 1000000 WHERE id = 6;
SELECT count(*) FILTER (WHERE id IS NULL), count(*) FILTER (WHERE id = 1000000) FROM e;
SELECT zdm.verify('key');
SELECT zdm.revert('key');
CALL zdm.wait('key', 'ready', 60);
SELECT zdm.verify('key');
TABLE public.before EXCEPT TABLE catalogs;
SELECT zdm.cutover('key');
CALL zdm.wait('key', 'soak', 60);
SELECT zdm.contract('key');
CALL zdm.wait('key', 'done', 60);
TABLE public.before EXCEPT TABLE catalogs;
TABLE catalogs EXCEPT TABLE public.before;
SELECT tableoid::regclass, pg_typeof(max(id)), count(*) FROM m GROUP BY tableoid ORDER BY tableoid::regclass::text;
-- Given up after the counterparts were built.
SELECT zdm.change_type('m', 'id', 'numeric(20)', name => 'again');
CALL zdm.wait('again', 'ready', 60);
SELECT zdm.abort('again');
CALL zdm.wait('again', 'aborted', 60);
TABLE catalogs EXCEPT TABLE public.before;
-- Partitions in other schemas, whose indexes have the names of their parents'.
CREATE SCHEMA old;
CREATE SCHEMA older;
CREATE TABLE log (part integer, n integer, PRIMARY KEY (part, n)) PARTITION BY RANGE (part);
CREATE INDEX log_n ON log (n);
CREATE TABLE old.log PARTITION OF log FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (part);
CREATE TABLE older.log PARTITION OF old.log FOR VALUES FROM (0) TO (5);
ALTER INDEX old.log_n_idx RENAME TO log_n;
ALTER INDEX older.log_n_idx RENAME TO log_n;
INSERT INTO log SELECT g % 5, g FROM generate_series(1, 100) g;
CREATE VIEW public.logs AS
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition, h.inhparent::regclass::text AS parent, i.indisprimary
      FROM pg_index i LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid
     WHERE i.indrelid IN ('log'::regclass, 'old.log'::regclass, 'older.log'::regclass);
CREATE TABLE public.before_logs AS TABLE public.logs;
SELECT zdm.change_type('log', 'n', 'bigint', name => 'log');
CALL zdm.wait('log', 'ready', 60);
SELECT zdm.cutover('log');
CALL zdm.wait('log', 'soak', 60);
SELECT zdm.revert('log');
CALL zdm.wait('log', 'ready', 60);
SELECT name, definition, parent FROM public.before_logs EXCEPT SELECT name, definition, parent FROM public.logs;
SELECT zdm.cutover('log');
CALL zdm.wait('log', 'soak', 60);
SELECT zdm.contract('log');
CALL zdm.wait('log', 'done', 60);
SELECT name, definition, parent, indisprimary FROM public.logs ORDER BY name, parent;
TABLE public.before_logs EXCEPT TABLE public.logs;
SELECT tableoid::regclass, pg_typeof(max(n)), count(*) FROM log GROUP BY tableoid;
SET client_min_messages = warning;
DROP VIEW public.logs;
DROP TABLE public.before_logs;
DROP SCHEMA old, older CASCADE;
DROP SCHEMA p CASCADE;
DROP TABLE public.before;
RESET search_path;
-- A deferrable key lets duplicates stand for a moment, in each phase; its counterpart refuses them from cutover on as late.
CREATE TABLE turns (id integer, v integer, CONSTRAINT turns_key UNIQUE (id, v) DEFERRABLE INITIALLY DEFERRED) PARTITION BY LIST (id);
CREATE TABLE turns_1 PARTITION OF turns FOR VALUES IN (1);
CREATE TABLE turns_2 PARTITION OF turns FOR VALUES IN (2);
ALTER TABLE turns_1 ADD CONSTRAINT turns_1_key UNIQUE (v) DEFERRABLE;
INSERT INTO turns SELECT i, g FROM generate_series(1, 2) AS i, generate_series(1, 100) AS g;
CREATE PROCEDURE take_turns() LANGUAGE sql AS 'UPDATE turns SET v = CASE v WHEN 1 THEN 2 ELSE 1 END WHERE v IN (1, 2)';
-- Two values would become one
SELECT zdm.change_type('turns', 'v', 'boolean', forward => 'v > 50');
SELECT zdm.change_type('turns', 'v', 'bigint', name => 'turns');
CALL zdm.wait('turns', 'ready', 60);
CALL take_turns();
SELECT zdm.cutover('turns');
CALL zdm.wait('turns', 'soak', 60);
CALL take_turns();
INSERT INTO turns VALUES (1, 1);
INSERT INTO turns VALUES (2, 1);
SELECT zdm.revert('turns');
CALL zdm.wait('turns', 'ready', 60);
CALL take_turns();
INSERT INTO turns VALUES (2, 1);
SELECT zdm.cutover('turns');
CALL zdm.wait('turns', 'soak', 60);
SELECT zdm.contract('turns');
CALL zdm.wait('turns', 'done', 60);
CALL take_turns();
INSERT INTO turns VALUES (2, 1);
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), coninhcount FROM pg_constraint WHERE conrelid IN ('turns'::regclass, 'turns_1'::regclass, 'turns_2'::regclass) AND contype = 'u' ORDER BY 1, 2;
DROP TABLE turns;
DROP PROCEDURE take_turns;
DROP EXTENSION zdm;
