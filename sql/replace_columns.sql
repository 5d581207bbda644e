-- replace_columns: columns computed from others, both sides writable until contract.
CREATE EXTENSION zdm;
CREATE TABLE customer (id integer PRIMARY KEY, full_name text NOT NULL, "Weird "" name" text DEFAULT 'w');
CREATE INDEX customer_name ON customer (full_name);
INSERT INTO customer SELECT g, 'First' || g || ' Last' || g FROM generate_series(1, 500) g;
SELECT zdm.replace_columns('customer', '{full_name}', ARRAY['first_name text', '"Last Name" varchar(30)'],
    forward => ARRAY['split_part(full_name, '' '', 1)', 'split_part(full_name, '' '', 2)'],
    reverse => ARRAY['first_name || '' '' || "Last Name"'], name => 'names');
CALL zdm.wait('names', 'ready', 60);
SELECT name, expression, total FROM zdm.mapped_column ORDER BY side, ordinal;
UPDATE customer SET first_name = 'Grace' WHERE id = 1;
UPDATE customer SET full_name = 'Ada Lovelace' WHERE id = 2;
INSERT INTO customer (id, first_name, "Last Name") VALUES (501, 'Alan', 'Turing');
SELECT * FROM customer WHERE id IN (1, 2, 501) ORDER BY id;
SELECT zdm.cutover('names');
CALL zdm.wait('names', 'soak', 60);
INSERT INTO customer (id, first_name) VALUES (502, 'Plato');
SELECT * FROM customer WHERE id = 502;
-- reverse gives NULL there, which full_name did not allow.
SELECT zdm.revert('names');
UPDATE customer SET "Last Name" = '' WHERE id = 502;
SELECT zdm.revert('names');
CALL zdm.wait('names', 'ready', 60);
\d customer
SELECT zdm.verify('names');
SELECT zdm.cutover('names');
CALL zdm.wait('names', 'soak', 60);
SELECT zdm.contract('names');
CALL zdm.wait('names', 'done', 60);
\d customer

-- Many to one, without a way back
CREATE TABLE place (id integer, lat float8, lon float8);
INSERT INTO place SELECT g, g, -g FROM generate_series(1, 100) g;
SELECT zdm.replace_columns('place', '{lat,lon}', '{position point}', '{"point(lat, lon)"}', name => 'place');
CALL zdm.wait('place', 'ready', 60);
SELECT revertible FROM zdm.status WHERE name = 'place';
UPDATE place SET lat = 1.5 WHERE id = 2;
SELECT * FROM place WHERE id < 3 ORDER BY id;
SELECT zdm.cutover('place');
CALL zdm.wait('place', 'soak', 60);
INSERT INTO place (id, position) VALUES (101, '(1,2)');
SELECT zdm.revert('place');
SELECT zdm.contract('place');
CALL zdm.wait('place', 'done', 60);
SELECT * FROM place WHERE id IN (1, 2, 101) ORDER BY id;
DROP TABLE customer, place;
DROP EXTENSION zdm;
