-- PRIMARY KEY and UNIQUE on partitioned tables: partition by partition, beside the writes. In the end they are the ones
-- that ALTER TABLE makes, down to the names, but that an equal index is taken where there is one.
CREATE EXTENSION zdm;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I', schema);
    CREATE TABLE p (a integer, b integer, c text) PARTITION BY RANGE (a);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (300) PARTITION BY LIST (b);
    CREATE TABLE p2_1 PARTITION OF p2 FOR VALUES IN (0, 1);
    CREATE TABLE p2_2 PARTITION OF p2 DEFAULT;
    INSERT INTO p SELECT g % 300, g, 'x' FROM generate_series(1, 3000) g;
    -- One has an equal constraint already, one an equal index.
    ALTER TABLE p1 ADD CONSTRAINT mine UNIQUE (b, a) INCLUDE (c);
    CREATE UNIQUE INDEX p2_1_b_a_c_idx ON p2_1 (b, a) INCLUDE (c);
END $$;
SELECT build('one'), build('two');
SELECT ordinal, step, object, lock_mode FROM (SELECT ordinal, step, regexp_replace(description, '\d+', 'N') AS object, lock_mode
  FROM zdm.plan($$SELECT zdm.add_constraint('one.p', 'p_key', 'PRIMARY KEY (a, b)')$$)) s ORDER BY ordinal;
SELECT zdm.add_constraint('one.p', 'p_key', 'PRIMARY KEY (a, b)', name => 'k');
SELECT zdm.add_constraint('one.p', 'p_key', 'PRIMARY KEY (a, b)', name => 'k');
CALL zdm.wait('k', 'done', 60);
SELECT zdm.add_constraint('one.p', 'p_u', 'UNIQUE (b, a) INCLUDE (c)', name => 'u');
CALL zdm.wait('u', 'done', 60);
ALTER TABLE two.p ADD CONSTRAINT p_key PRIMARY KEY (a, b);
ALTER TABLE two.p ADD CONSTRAINT p_u UNIQUE (b, a) INCLUDE (c);
CREATE VIEW keys AS
    SELECT t.relnamespace::regnamespace AS schema, t.relname, k.conname, pg_get_constraintdef(k.oid) AS definition, i.indisvalid AS valid,
           (SELECT u.conname FROM pg_constraint u WHERE u.oid = k.conparentid) AS parent
      FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_index i ON i.indexrelid = k.conindid
     WHERE k.contype IN ('p', 'u') AND t.relnamespace IN ('one'::regnamespace, 'two'::regnamespace);
SELECT relname, conname, definition, valid, parent FROM keys WHERE schema = 'one'::regnamespace ORDER BY 1, 2;
SELECT relname, conname, definition, valid, parent FROM keys WHERE schema = 'two'::regnamespace
EXCEPT SELECT relname, conname, definition, valid, parent FROM keys WHERE schema = 'one'::regnamespace;
INSERT INTO one.p VALUES (1, 1, 'again');
INSERT INTO one.p VALUES (1, NULL, 'nothing');
INSERT INTO one.p VALUES (1, 1, 'again') ON CONFLICT (a, b) DO UPDATE SET c = 'changed' RETURNING c;

-- Rows that break it are named; nothing of it holds up a write meanwhile. Called off, nothing is left.
CREATE TABLE r (a integer NOT NULL, b integer) PARTITION BY LIST (a);
CREATE TABLE r1 PARTITION OF r FOR VALUES IN (1);
CREATE TABLE r2 PARTITION OF r FOR VALUES IN (2);
INSERT INTO r SELECT 1 + g % 2, g / 4 FROM generate_series(1, 20) g;
DELETE FROM r WHERE a = 1 AND ctid IN (SELECT max(ctid) FROM r1 GROUP BY b HAVING count(*) > 1);
SELECT zdm.add_constraint('r', 'r_u', 'UNIQUE (a, b) DEFERRABLE', name => 'r');
CALL zdm.wait('r', 'done', 60);
SELECT relation::regclass, count(*) FROM zdm.discrepancy WHERE name = 'r' GROUP BY 1;
INSERT INTO r VALUES (2, 3);
SELECT zdm.abort('r');
CALL zdm.wait('r', 'aborted', 60);
SELECT count(*) FROM pg_constraint WHERE conrelid IN ('r'::regclass, 'r1'::regclass, 'r2'::regclass) AND contype = 'u';
SELECT count(*) FROM pg_index WHERE indrelid IN ('r'::regclass, 'r1'::regclass, 'r2'::regclass);
-- Mended instead, it goes on where it was; a partition that has come meanwhile has it already.
SELECT zdm.add_constraint('r', 'r_u', 'UNIQUE (a, b) DEFERRABLE', name => 'r');
CALL zdm.wait('r', 'done', 60);
CREATE TABLE r3 PARTITION OF r FOR VALUES IN (3);
DELETE FROM r WHERE a = 2 AND ctid NOT IN (SELECT min(ctid) FROM r2 GROUP BY b);
SELECT zdm.resume('r');
CALL zdm.wait('r', 'done', 60);
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN (SELECT relid FROM pg_partition_tree('r')) AND contype = 'u' ORDER BY 1;
-- What the server has no online way for, or does not take.
SELECT zdm.add_constraint('r', 'r_x', 'UNIQUE (b)', name => 'x');
SELECT zdm.add_constraint('r', 'r_x', 'UNIQUE (a, b) WITH (fillfactor = 50)', name => 'x');
SET client_min_messages = warning;
-- Which rows they were that the messages count.
SELECT name, key FROM zdm.discrepancy ORDER BY name, found_at;
DROP VIEW keys;
DROP TABLE r;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build;
DROP EXTENSION zdm;
