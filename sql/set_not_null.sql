-- set_not_null: proved beside the writes; NULLs are filled where a value is given, else told.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE TABLE t (id serial PRIMARY KEY, v integer, w integer);
INSERT INTO t (v, w) SELECT nullif(g % 10, 0), g FROM generate_series(1, 1000) g;
SELECT zdm.set_not_null('t', 'v', value => 'w * 2', name => 'm');
CALL zdm.wait('m', 'done', 60);
SELECT count(*) FILTER (WHERE v IS NULL) AS nulls, count(*) FILTER (WHERE v = 2 * w AND w % 10 = 0) AS filled,
       count(*) FILTER (WHERE v = w % 10) AS as_before FROM t;
SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v';
INSERT INTO t (v) VALUES (NULL);
-- Replayed, and asked for where it is so already.
SELECT zdm.set_not_null('t', 'v', value => 'w * 2', name => 'm');
SELECT zdm.set_not_null('t', 'id');
CALL zdm.wait('public.t.id', 'done', 60);
-- Without a value: told, nothing locked, and nothing left that fails a write.
INSERT INTO t (v, w) VALUES (1, NULL), (2, NULL);
SELECT zdm.set_not_null('t', 'w', name => 'told');
CALL zdm.wait('told', 'done', 60);
SELECT key, class FROM zdm.discrepancy WHERE name = 'told' AND resolved_at IS NULL ORDER BY key::text;
INSERT INTO t (v, w) VALUES (3, NULL);
SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c';
DELETE FROM t WHERE w IS NULL;
SELECT zdm.resume('told');
CALL zdm.wait('told', 'done', 60);
SELECT count(*) FROM zdm.discrepancy WHERE name = 'told' AND resolved_at IS NULL;
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum;
SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass) + (SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c') AS left_behind;
-- Aborted in the middle: nothing is left.
ALTER TABLE t ALTER v DROP NOT NULL;
INSERT INTO t (v, w) SELECT NULL, g FROM generate_series(1, 30000) g;
SET zdm.pace = '0.01';
SELECT zdm.set_not_null('t', 'v', value => '7', name => 'given up');
CALL zdm.wait('given up', 'expand', 60);
SELECT zdm.abort('given up');
CALL zdm.wait('given up', 'aborted', 60);
SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v';
SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 't'::regclass) + (SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c') AS left_behind;
SELECT zdm.set_not_null('t', 'nothing');
-- A value that is none, however it is written.
SELECT zdm.set_not_null('t', 'v', value => 'null');
SELECT zdm.set_not_null('t', 'v', value => 'NULL::integer + 1');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE t;
DROP EXTENSION zdm;
