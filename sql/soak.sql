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
-- An application of before the deploy goes on writing the old columns, a value of which no new one can be made: the write
-- does not fail, contract does, before anything is dropped, and revert keeps the value.
CREATE TABLE priced (id integer PRIMARY KEY, price text);
INSERT INTO priced SELECT g, g::text FROM generate_series(1, 100) AS g;
CREATE INDEX ON priced (price);
SELECT zdm.replace_columns('priced', '{price}', '{cents bigint}', '{"(price::numeric * 100)::bigint"}', '{"(cents / 100.0)::numeric::text"}', name => 'priced');
CALL zdm.wait('priced', 'ready', 60);
SELECT zdm.cutover('priced');
CALL zdm.wait('priced', 'soak', 60);
INSERT INTO priced (id, price) VALUES (101, '5'), (102, 'a fiver');
UPDATE priced SET price = 'free' WHERE id = 3;
SELECT * FROM priced WHERE id IN (3, 101, 102) ORDER BY id;
SELECT zdm.contract('priced');
CALL zdm.wait('priced', 'done', 60);
SELECT phase, target, state, message, next_action FROM zdm.status WHERE name = 'priced';
SELECT key, class, old_value, expected_value, actual_value FROM zdm.discrepancy WHERE name = 'priced' AND resolved_at IS NULL ORDER BY key;
-- Repair would take the only value away
SELECT zdm.repair('priced');
SELECT * FROM priced WHERE id IN (3, 101, 102) ORDER BY id;
-- Revert is still possible, and loses nothing; what it comes back to is not ready.
SELECT zdm.revert('priced');
CALL zdm.wait('priced', 'ready', 60);
SELECT phase, target, state, message FROM zdm.status WHERE name = 'priced';
SELECT * FROM priced WHERE id IN (3, 101, 102) ORDER BY id;
UPDATE priced SET price = '0' WHERE id = 3;
SELECT zdm.resume('priced');
CALL zdm.wait('priced', 'ready', 60);
UPDATE priced SET price = '5.1' WHERE id = 102;
SELECT zdm.resume('priced');
CALL zdm.wait('priced', 'ready', 60);
SELECT zdm.cutover('priced');
CALL zdm.wait('priced', 'soak', 60);
-- Corrected, or deleted, contract goes on
UPDATE priced SET price = 'free' WHERE id = 3;
SELECT zdm.verify('priced');
SELECT zdm.contract('priced');
CALL zdm.wait('priced', 'done', 60);
UPDATE priced SET cents = 0 WHERE id = 3;
SELECT zdm.resume('priced');
CALL zdm.wait('priced', 'done', 60);
SELECT * FROM priced WHERE id IN (3, 101, 102) ORDER BY id;
-- A row that was written while the trigger was away
CREATE TABLE doubted (id integer PRIMARY KEY, v integer);
INSERT INTO doubted SELECT g, g FROM generate_series(1, 10) AS g;
SELECT zdm.change_type('doubted', 'v', 'bigint', name => 'doubted');
CALL zdm.wait('doubted', 'ready', 60);
SELECT zdm.cutover('doubted');
CALL zdm.wait('doubted', 'soak', 60);
ALTER TABLE doubted DISABLE TRIGGER USER;
UPDATE doubted SET zdm_old_v = 70 WHERE id = 7;
UPDATE doubted SET v = 80 WHERE id = 8;
UPDATE doubted SET v = 3000000000 WHERE id = 9;
INSERT INTO doubted (id, zdm_old_v) VALUES (11, 110);
SELECT zdm.contract('doubted');
CALL zdm.wait('doubted', 'done', 60);
SELECT key, class, old_value, expected_value, actual_value FROM zdm.discrepancy WHERE name = 'doubted' AND resolved_at IS NULL ORDER BY key ->> 'id';
SELECT zdm.repair('doubted'), zdm.resume('doubted');
CALL zdm.wait('doubted', 'done', 60);
SELECT * FROM doubted WHERE id IN (7, 8, 9, 11) ORDER BY id;
-- Several tables: the note of each is its own, also when zdm.verify has looked.
CREATE TABLE owner (id text PRIMARY KEY);
CREATE TABLE pet (id integer PRIMARY KEY, owner text REFERENCES owner);
INSERT INTO owner SELECT g::text FROM generate_series(1, 10) AS g;
INSERT INTO pet SELECT g, g::text FROM generate_series(1, 10) AS g;
SELECT zdm.change_type('owner', 'id', 'integer', forward => 'id::integer', name => 'owner');
SELECT zdm.cutover('owner');
CALL zdm.wait('owner', 'soak', 60);
INSERT INTO pet (id, zdm_old_owner) VALUES (11, 'stray');
SELECT zdm.verify('owner');
SELECT zdm.contract('owner');
CALL zdm.wait('owner', 'done', 60);
-- Nor is it let through where the foreign key of before would have an orphan.
SELECT zdm.revert('owner');
CALL zdm.wait('owner', 'ready', 60);
-- A value that nobody wants
SELECT zdm.repair('owner');
UPDATE pet SET zdm_old_owner = NULL WHERE id = 11;
SELECT zdm.contract('owner');
CALL zdm.wait('owner', 'done', 60);
SELECT id, owner, pg_typeof(owner) FROM pet WHERE id > 9 ORDER BY id;
DROP TABLE pet, owner;
-- An update of what the expression reads besides does not take the only value away.
CREATE TABLE scaled (id integer PRIMARY KEY, v text, factor integer);
INSERT INTO scaled SELECT g, g::text, 2 FROM generate_series(1, 10) AS g;
SELECT zdm.change_type('scaled', 'v', 'integer', forward => 'v::integer * factor', reverse => '(v / factor)::text', name => 'scaled');
SELECT zdm.cutover('scaled');
CALL zdm.wait('scaled', 'soak', 60);
UPDATE scaled SET zdm_old_v = 'five' WHERE id = 5;
UPDATE scaled SET factor = 3 WHERE id IN (5, 6);
SELECT id, zdm_old_v, v, factor FROM scaled WHERE id IN (5, 6) ORDER BY id;
UPDATE scaled SET zdm_old_v = '5' WHERE id = 5;
SELECT zdm.contract('scaled');
CALL zdm.wait('scaled', 'done', 60);
SELECT id, v, factor FROM scaled WHERE id IN (5, 6) ORDER BY id;
DROP TABLE scaled;
DROP TABLE priced, doubted;
DROP EXTENSION zdm;
