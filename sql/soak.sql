-- What the old side cannot hold as the new one does fails no write in soak: a unique index where two new values
-- have one old value, an expression that overflows. Before a revert they are built again, and say what is in the way.
\set VERBOSITY terse
CREATE EXTENSION zdm;
CREATE TABLE measured (id integer PRIMARY KEY, v integer, w integer);
CREATE UNIQUE INDEX measured_v ON measured (v);
CREATE INDEX measured_sum ON measured ((v + w));
INSERT INTO measured SELECT g, g, g FROM generate_series(1, 10) g;
SELECT zdm.change_type('measured', 'v', 'numeric', reverse => 'round(v)::integer', name => 'measured');
SELECT zdm.cutover('measured');
CALL zdm.wait('measured', 'soak', 60);
INSERT INTO measured (id, v, w) VALUES (20, 20.1, 1), (21, 20.2, 1), (22, 2147483647, 2147483647);
SELECT id, v, zdm_old_v FROM measured WHERE id >= 20 ORDER BY id;
SELECT zdm.revert('measured');
CALL zdm.wait('measured', 'ready', 60);
DELETE FROM measured WHERE id = 22;
SELECT zdm.resume('measured');
CALL zdm.wait('measured', 'ready', 60);
SELECT key, class, expected_value, actual_value FROM zdm.discrepancy WHERE name = 'measured' ORDER BY key;
DELETE FROM measured WHERE id >= 20;
SELECT zdm.resume('measured');
CALL zdm.wait('measured', 'ready', 60);
SELECT state, discrepancies FROM zdm.status WHERE name = 'measured';
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = 'measured'::regclass ORDER BY 1;
SELECT zdm.abort('measured');
CALL zdm.wait('measured', 'aborted', 60);
DROP TABLE measured;
DROP EXTENSION zdm;
