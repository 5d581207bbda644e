-- Steering: every call is idempotent, and refused with what to do instead where it makes no sense.
CREATE EXTENSION zdm;
CREATE TABLE t (id integer PRIMARY KEY, v integer);
INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
-- Started in this very transaction: waiting would never end.
BEGIN;
SELECT zdm.change_type('t', 'v', 'bigint', name => 'm');
\set ON_ERROR_ROLLBACK on
CALL zdm.wait('m', 'ready', 5);
\echo :LAST_ERROR_SQLSTATE
COMMIT;
\set ON_ERROR_ROLLBACK off
CALL zdm.wait('m', 'ready', 60);
-- In a transaction block one can find out, but not wait.
BEGIN;
CALL zdm.wait('m', 'ready', 5);
CALL zdm.wait('m', 'soak', 5);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- Time-out; phases that will not come
CALL zdm.wait('m', 'soak', 0);
\echo :LAST_ERROR_SQLSTATE
CALL zdm.wait('m', 'done', 0);
CALL zdm.wait('m', 'nonsense', 0);
CALL zdm.wait('m', 'aborted', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT zdm.contract('m');
SELECT zdm.revert('m');
SELECT zdm.resume('m');
SELECT zdm.pause('m'), zdm.pause('m');
SELECT state, message, next_action FROM zdm.status;
SELECT zdm.cutover('m'), zdm.cutover('m');
SELECT phase, target, state FROM zdm.status;
CALL zdm.wait('m', 'soak', 0);
SELECT zdm.resume('m');
CALL zdm.wait('m', 'soak', 60);
CALL zdm.wait('m');
CALL zdm.wait('m', 'done', 0);
-- What stands in the way is ended as its phase allows.
SELECT zdm.change_type('t', 'v', 'numeric', name => 'm');
SELECT zdm.change_type('t', 'v', 'numeric', name => 'other');
SELECT zdm.abort('m');
SELECT zdm.cutover('m');
-- Settings of one migration
SELECT zdm.configure('m', 'min_soak', '1h'), zdm.configure('m', 'zdm.pace', '0.5');
SELECT zdm.configure('m', 'PACE', '0.4'), zdm.configure('m', 'Zdm.Max_Workers', '2');
SELECT zdm.configure('m', 'pace', 'fast');
SELECT zdm.configure('m', 'lock_timeout', 'soon');
SELECT zdm.configure('m', 'speed', '1');
SELECT zdm.configure('m', 'mode', 'direct');
SELECT zdm.configure('m', 'Mode', 'direct');
SELECT settings FROM zdm.migration;
\set VERBOSITY sqlstate
SELECT zdm.contract('m');
\set VERBOSITY default
SELECT zdm.configure('m', 'MIN_SOAK', NULL);
SELECT settings FROM zdm.migration;
SELECT zdm.contract('m');
CALL zdm.wait('m', 'done', 60);
SELECT zdm.abort('m');
SELECT zdm.pause('m');
SELECT zdm.wake();

-- Straight through: every target may be set before it is its turn.
SET zdm.pace = 'full';
SET zdm.batch_time = '5ms';
SELECT zdm.change_type('t', 'v', 'numeric', name => 'through');
SELECT zdm.cutover('through');
CALL zdm.wait('through', 'soak', 60);
SELECT settings FROM zdm.migration WHERE name = 'through';
SELECT zdm.revert('through');
CALL zdm.wait('through', 'ready', 60);
SELECT zdm.pause('through');
SELECT zdm.abort('through');
CALL zdm.wait('through', 'aborted', 60);
CALL zdm.wait('through', 'ready', 60);
RESET zdm.pace;
SET zdm.pace = 'sometimes';
-- A rollback leaves nothing behind.
BEGIN;
SELECT zdm.change_type('t', 'v', 'integer', name => 'rolled back');
ROLLBACK;
SELECT count(*) FROM zdm.migration WHERE name = 'rolled back';
-- A name that is NULL is nobody's, and nothing was done.
SELECT zdm.assert_ready(NULL);
SELECT zdm.cutover(NULL);
SELECT zdm.contract('none', NULL);
SELECT zdm.configure('none', NULL, '1');
SELECT zdm.verify((SELECT name FROM zdm.status WHERE false));
CALL zdm.wait(NULL);
CALL zdm.wait('none', NULL);
-- What is being aborted is neither ready nor started.
INSERT INTO t (id, v) VALUES (2000, 1);
SELECT zdm.change_type('t', 'v', 'integer', name => 'zero');
CALL zdm.wait('zero', 'ready', 60);
BEGIN;
SELECT zdm.abort('zero');
DO $$ BEGIN PERFORM zdm.assert_ready('zero'); EXCEPTION WHEN SQLSTATE 'ZD001' THEN RAISE NOTICE 'not ready'; END $$;
SELECT zdm.change_type('t', 'v', 'integer', name => 'zero');
ROLLBACK;
SELECT zdm.abort('zero');
DO $$ BEGIN CALL zdm.wait('zero', 'ready', 0); EXCEPTION WHEN SQLSTATE 'ZD007' THEN RAISE NOTICE 'aborted'; END $$;
CALL zdm.wait('zero', 'aborted', 60);
-- Two on one column are refused; two on one table are not.
ALTER TABLE t ADD w integer;
SELECT zdm.change_type('t', 'v', 'integer', name => 'one');
SELECT zdm.rename_column('t', 'v', 'x', name => 'two');
SELECT zdm.change_type('t', 'w', 'bigint', name => 'three');
CALL zdm.wait('one', 'ready', 60);
CALL zdm.wait('three', 'ready', 60);
INSERT INTO t (id, v, w) VALUES (1000, 1, 2);
SELECT v, zdm_new_v, w, zdm_new_w FROM t WHERE id = 1000;
SELECT zdm.cutover('three'), zdm.cutover('one');
CALL zdm.wait('one', 'soak', 60);
CALL zdm.wait('three', 'soak', 60);
SELECT zdm.contract('one'), zdm.contract('three');
CALL zdm.wait('one', 'done', 60);
CALL zdm.wait('three', 'done', 60);
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname;
SELECT worker_up IN (0, 1) AS up, migrations_unfinished, migrations_failed FROM zdm.metrics;
DROP TABLE t;
DROP EXTENSION zdm;
