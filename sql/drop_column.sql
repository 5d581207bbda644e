-- drop_column: ready at once, hidden at cutover, dropped at contract; in between there is a way back.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
\set VERBOSITY terse
CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL, w integer NOT NULL DEFAULT 5, x text);
CREATE INDEX t_v ON t (v);
CREATE VIEW reads_x AS SELECT x FROM t;
INSERT INTO t (v) SELECT g FROM generate_series(1, 100) g;
SELECT zdm.drop_column('t', 'v', name => 'm');
CALL zdm.wait('m', 'ready', 60);
SELECT name, phase, state, next_action FROM zdm.status;
INSERT INTO t (v) VALUES (1000);
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
SELECT v FROM t;
INSERT INTO t (w) VALUES (6);
-- The way back: what was written meanwhile has no value.
SELECT zdm.revert('m');
CALL zdm.wait('m', 'ready', 60);
INSERT INTO t (w) VALUES (7);
UPDATE t SET zdm_old_v = 0 WHERE zdm_old_v IS NULL;
SELECT zdm.resume('m');
CALL zdm.wait('m', 'ready', 60);
SELECT count(*), min(v), max(v) FROM t;
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c';
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
SELECT zdm.contract('m');
CALL zdm.wait('m', 'done', 60);
SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
-- With a default the column stays NOT NULL while it is hidden.
SELECT zdm.drop_column('t', 'w', name => 'w');
SELECT zdm.cutover('w');
CALL zdm.wait('w', 'soak', 60);
INSERT INTO t DEFAULT VALUES RETURNING zdm_old_w;
SELECT zdm.revert('w');
CALL zdm.wait('w', 'ready', 60);
SELECT zdm.abort('w');
CALL zdm.wait('w', 'aborted', 60);
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
-- Refused, naming what is in the way.
SELECT zdm.drop_column('t', 'x');
SELECT zdm.drop_column('t', 'id');
SELECT zdm.drop_column('t', 'nothing');
DROP TABLE t CASCADE;
DROP EXTENSION zdm;
