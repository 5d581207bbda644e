-- Foreign keys of one partition alone, into one, and between two. Three times the same tables: with the old type, with
-- the new one, and changed by zdm, with a way back in between.
\set VERBOSITY terse
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE FUNCTION build(schema text, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I', schema);
    CREATE TABLE parent (id integer PRIMARY KEY);
    EXECUTE format('CREATE TABLE p (id integer, v %s) PARTITION BY RANGE (id)', type);
    CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (100);
    CREATE TABLE high PARTITION OF p FOR VALUES FROM (100) TO (300) PARTITION BY RANGE (id);
    CREATE TABLE high_1 PARTITION OF high FOR VALUES FROM (100) TO (200);
    CREATE TABLE high_2 PARTITION OF high FOR VALUES FROM (200) TO (300);
    INSERT INTO parent SELECT g FROM generate_series(1, 299) g;
    INSERT INTO p SELECT g, CASE WHEN g < 100 THEN g ELSE g % 100 END FROM generate_series(1, 299) g WHERE g % 100 > 0;
    ALTER TABLE low ADD CONSTRAINT low_key UNIQUE (v);
    ALTER TABLE low ADD CONSTRAINT to_parent FOREIGN KEY (v) REFERENCES parent ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE;
    -- Of two partitions at once, and of one of them a second one.
    ALTER TABLE high ADD CONSTRAINT to_parent FOREIGN KEY (v) REFERENCES parent;
    ALTER TABLE high_2 ADD CONSTRAINT to_low FOREIGN KEY (v) REFERENCES low (v) ON DELETE CASCADE;
    EXECUTE format('CREATE TABLE child (id integer, v %s CONSTRAINT to_low REFERENCES low (v))', type);
    INSERT INTO child SELECT g, g FROM generate_series(1, 50) g;
    COMMENT ON CONSTRAINT to_parent ON low IS 'of one';
END $$;
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT replace(concat_ws(' ', c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.coninhcount, obj_description(k.oid, 'pg_constraint')), schema || '.', '')
      FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid
     WHERE c.relnamespace = schema::regnamespace AND k.contype <> 'n' AND k.conname NOT LIKE 'zdm%'
$$;
CREATE FUNCTION difference(one text, other text) RETURNS TABLE (only_in text, line text) LANGUAGE sql AS $$
    SELECT one, line FROM (SELECT line FROM looks(one) EXCEPT ALL SELECT line FROM looks(other)) a
    UNION ALL
    SELECT other, line FROM (SELECT line FROM looks(other) EXCEPT ALL SELECT line FROM looks(one)) b ORDER BY 2
$$;
SELECT build('before', 'integer'), build('after', 'bigint'), build('moved', 'integer');
SELECT * FROM looks('before') ORDER BY 1;
-- A column of one partition is its table's: what it is connected with goes along.
SELECT zdm.change_type('moved.parent', 'id', 'bigint', name => 'closure');
SELECT t.relation_name FROM zdm.migrated_table t JOIN zdm.migration ON id = migration WHERE name = 'closure' ORDER BY 1;
CALL zdm.wait('closure', 'ready', 60);
SELECT zdm.abort('closure');
CALL zdm.wait('closure', 'aborted', 60);
SELECT * FROM difference('moved', 'before');
-- The table alone
SELECT zdm.change_type('moved.p', 'v', 'bigint', "cascade" => false, name => 'p');
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT * FROM difference('moved', 'after') WHERE line NOT LIKE 'child %';
-- Each holds, and acts.
INSERT INTO moved.p (id, v) VALUES (1, 1000);
INSERT INTO moved.p (id, v) VALUES (150, 1000);
INSERT INTO moved.p (id, v) VALUES (250, 200);
INSERT INTO moved.child VALUES (1, 200);
DELETE FROM moved.p WHERE id = 1;
DELETE FROM moved.p WHERE id = 60;
UPDATE moved.parent SET id = 600 WHERE id = 70 AND NOT EXISTS (SELECT FROM moved.high WHERE v = 70);
SELECT id, v FROM moved.p WHERE v IN (60, 70) ORDER BY id;
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT * FROM difference('moved', 'before');
INSERT INTO moved.p (id, v) VALUES (250, 200);
INSERT INTO moved.child VALUES (1, 200);
-- One partition goes with its keys.
ALTER TABLE moved.high DETACH PARTITION moved.high_2;
DROP TABLE moved.high_2;
DROP TABLE after.high_2;
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT * FROM difference('moved', 'after');
SELECT zdm.contract('p');
CALL zdm.wait('p', 'done', 60);
SELECT * FROM difference('moved', 'after');
INSERT INTO moved.p (id, v) VALUES (1, 1000);
INSERT INTO moved.child VALUES (1, 200);
SELECT count(*), sum(v) FROM moved.p;
DROP SCHEMA before, after, moved CASCADE;
-- A partition that is referred to goes: its new column is in sync no more, and nothing refers to that.
CREATE TABLE p (id integer, v integer) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE high PARTITION OF p FOR VALUES FROM (100) TO (200);
ALTER TABLE low ADD UNIQUE (v);
CREATE TABLE child (v integer CONSTRAINT to_low REFERENCES low (v));
INSERT INTO p SELECT g, g FROM generate_series(1, 199) g;
SELECT zdm.change_type('p', 'v', 'bigint', "cascade" => false, name => 'p');
CALL zdm.wait('p', 'ready', 60);
ALTER TABLE p DETACH PARTITION low;
INSERT INTO low (id, v) VALUES (1, 1000);
INSERT INTO child VALUES (1000);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
INSERT INTO child VALUES (1000);
SELECT zdm.contract('p');
CALL zdm.wait('p', 'done', 60);
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'child'::regclass;
DROP TABLE p, low, child;
-- In soak: said before anything is taken back. And a table has another name since, and another table its own.
CREATE TABLE parent (id bigint PRIMARY KEY);
CREATE TABLE p (id integer, v integer) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE high PARTITION OF p FOR VALUES FROM (100) TO (200);
ALTER TABLE low ADD UNIQUE (v);
ALTER TABLE high ADD CONSTRAINT to_low FOREIGN KEY (v) REFERENCES low (v);
ALTER TABLE high ADD CONSTRAINT to_parent FOREIGN KEY (v) REFERENCES parent;
INSERT INTO parent SELECT g FROM generate_series(1, 100) g;
INSERT INTO p SELECT g, g % 100 FROM generate_series(1, 199) g WHERE g % 100 > 0;
SELECT zdm.change_type('p', 'v', 'bigint', name => 'p');
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
ALTER TABLE parent RENAME TO parents;
CREATE TABLE parent (id bigint PRIMARY KEY);
ALTER TABLE p DETACH PARTITION low;
ALTER TABLE high ADD CONSTRAINT came FOREIGN KEY (v) REFERENCES parents;
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
ALTER TABLE high DROP CONSTRAINT came;
SELECT zdm.resume('p');
CALL zdm.wait('p', 'ready', 60);
ALTER TABLE high DROP CONSTRAINT to_low;
SELECT zdm.resume('p');
CALL zdm.wait('p', 'ready', 60);
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'high'::regclass AND contype = 'f' ORDER BY 1;
SELECT zdm.abort('p');
CALL zdm.wait('p', 'aborted', 60);
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'high'::regclass AND contype = 'f' ORDER BY 1;
DROP TABLE p, low, parent, parents;
-- Two of one name on a partition and on one of its own.
CREATE TABLE one (id bigint PRIMARY KEY);
CREATE TABLE two (id bigint PRIMARY KEY);
CREATE TABLE p (id integer, v integer) PARTITION BY RANGE (id);
CREATE TABLE high PARTITION OF p FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE high_1 PARTITION OF high FOR VALUES FROM (100) TO (200);
ALTER TABLE high_1 ADD CONSTRAINT same FOREIGN KEY (v) REFERENCES one;
ALTER TABLE high ADD CONSTRAINT same FOREIGN KEY (v) REFERENCES two;
SELECT zdm.change_type('p', 'v', 'bigint', name => 'p');
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT zdm.contract('p');
CALL zdm.wait('p', 'done', 60);
SELECT conrelid::regclass, conname = 'same' AS same, pg_get_constraintdef(oid), conparentid <> 0 AS of_parent FROM pg_constraint WHERE conrelid IN ('high'::regclass, 'high_1'::regclass) AND contype = 'f' ORDER BY 1, 3;
DROP TABLE p, one, two;
-- A key that has come from a column beside the migrated one.
CREATE TABLE p (id integer, v integer, other integer) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (100);
ALTER TABLE low ADD UNIQUE (v);
CREATE TABLE child (v integer CONSTRAINT to_low REFERENCES low (v));
INSERT INTO p SELECT g, g, g FROM generate_series(1, 99) g;
SELECT zdm.change_type('p', 'v', 'bigint', "cascade" => false, name => 'p');
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
ALTER TABLE low ADD CONSTRAINT came FOREIGN KEY (other) REFERENCES low (v);
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
ALTER TABLE low DROP CONSTRAINT came;
SELECT zdm.resume('p');
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.abort('p');
CALL zdm.wait('p', 'aborted', 60);
DROP TABLE p, child;
DROP FUNCTION build, looks, difference;
DROP EXTENSION zdm;
