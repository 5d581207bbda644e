-- Stored generated columns of partitioned tables come along: each partition has its own expression, and each leaf its own
-- rows to compare. The same table twice, one changed by zdm with a way back in between, the other by plain DDL.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE FUNCTION hang(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    ALTER TABLE t ADD twice bigint GENERATED ALWAYS AS (v * 2) STORED NOT NULL,
                  ADD "A name of sixty-three bytes, the longest that the server accepts." text GENERATED ALWAYS AS ('v' || v) STORED;
    COMMENT ON COLUMN t.twice IS 'doubled';
END $$;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('CREATE SCHEMA %I', schema || '_elsewhere');
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    CREATE TABLE t (id integer, v integer NOT NULL, mail text, small text GENERATED ALWAYS AS (lower(mail)) STORED) PARTITION BY RANGE (id);
    CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
    EXECUTE format('CREATE TABLE %I.t2 (gone integer, mail text, small text GENERATED ALWAYS AS (lower(mail)) STORED, v integer NOT NULL, id integer)', schema || '_elsewhere');
    EXECUTE format('ALTER TABLE %I.t2 DROP gone', schema || '_elsewhere');
    EXECUTE format('ALTER TABLE t ATTACH PARTITION %I.t2 FOR VALUES FROM (100) TO (200)', schema || '_elsewhere');
    CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (200) TO (1000) PARTITION BY RANGE (id);
    CREATE TABLE t31 PARTITION OF t3 FOR VALUES FROM (200) TO (300);
    CREATE TABLE t32 PARTITION OF t3 FOR VALUES FROM (300) TO (400);
    PERFORM hang(schema);
    INSERT INTO t (id, v, mail) SELECT g, g, 'P' || g % 20 FROM generate_series(0, 399) g;
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT replace(line, schema, 'schema') FROM (
        SELECT concat_ws(' ', r.relid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attgenerated, a.attinhcount,
                         pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum),
                         (SELECT string_agg(concat_ws(' ', p.deptype, pg_describe_object(p.refclassid, p.refobjid, p.refobjsubid)), ', ' ORDER BY pg_describe_object(p.refclassid, p.refobjid, p.refobjsubid))
                            FROM pg_depend p WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid)) AS line
          FROM pg_partition_tree((schema || '.t')::regclass) r
          JOIN pg_attribute a ON a.attrelid = r.relid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT concat_ws(' ', r.relid, pg_get_indexdef(i.indexrelid)) FROM pg_partition_tree((schema || '.t')::regclass) r JOIN pg_index i ON i.indrelid = r.relid) AS l
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, line FROM looks('one') EXCEPT SELECT 'one', line FROM looks('two')
    UNION ALL
    (SELECT 'two', line FROM looks('two') EXCEPT SELECT 'two', line FROM looks('one'));
TABLE difference;

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'v'), zdm.rename_column('one.t', 'mail', 'email', name => 'mail');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
-- Only leaves have rows; no two of their indexes have one name.
SELECT kind, phase, regexp_replace(sql, '\d{5,}|_[0-9a-f]{8}"', '(oid)', 'g') AS sql FROM zdm.step WHERE name = 'v' AND kind LIKE '%\_generated' ORDER BY ordinal;
SELECT count(*), count(DISTINCT object), max(octet_length(object)) FROM zdm.step WHERE name = 'v' AND kind = 'guard_generated';
INSERT INTO one.t (id, v, mail) VALUES (50, 501, 'Old'), (350, 501, 'Old');
INSERT INTO one.t (id, zdm_new_v, email) VALUES (150, 502, 'New'), (250, 502, 'New');
SELECT id, v, twice, small FROM one.t WHERE v > 500 ORDER BY id;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
INSERT INTO one.t (id, v, email) SELECT g, 3000000000 + g, 'Large' FROM generate_series(0, 399, 50) g;
SELECT id, v, zdm_old_v, twice, small FROM one.t WHERE v > 1000 ORDER BY id;
DELETE FROM one.t WHERE v > 1000;
SELECT count(*) FROM pg_class WHERE relname ~ '^zdm_\d+_';
SELECT zdm.revert('mail');
CALL zdm.wait('mail', 'ready', 60);
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 60);
SELECT count(*) FROM pg_class WHERE relname ~ '^zdm_\d+_';
INSERT INTO one.t (id, v, mail) VALUES (51, 1001, 'Back'), (151, 1002, 'Back'), (351, 1003, 'Back');
SELECT only_in, line FROM difference WHERE line !~ 'zdm_new|email' ORDER BY 1, 2;
SELECT zdm.verify('v'), zdm.verify('mail');
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
SELECT zdm.contract('v'), zdm.contract('mail');
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('mail', 'done', 60);
INSERT INTO one.t (id, v, email) SELECT g, 3000000000 + g, 'Large' FROM generate_series(0, 399, 50) g;

INSERT INTO two.t (id, v, mail) VALUES (50, 501, 'Old'), (350, 501, 'Old'), (150, 502, 'New'), (250, 502, 'New'), (51, 1001, 'Back'), (151, 1002, 'Back'), (351, 1003, 'Back');
ALTER TABLE two.t DROP twice, DROP "A name of sixty-three bytes, the longest that the server accepts.";
ALTER TABLE two.t ALTER v TYPE bigint;
SELECT hang('two');
ALTER TABLE two.t RENAME mail TO email;
INSERT INTO two.t (id, v, email) SELECT g, 3000000000 + g, 'Large' FROM generate_series(0, 399, 50) g;
SELECT * FROM difference ORDER BY 1, 2;
SELECT count(*) FROM (SELECT id, v, email, twice, small FROM one.t EXCEPT SELECT id, v, email, twice, small FROM two.t) d;
SELECT count(*), sum(twice), sum(length("A name of sixty-three bytes, the longest that the server accepts.")) FROM one.t;
SELECT count(*), sum(twice), sum(length("A name of sixty-three bytes, the longest that the server accepts.")) FROM two.t;
DROP VIEW difference;
DROP SCHEMA one, two, one_elsewhere, two_elsewhere CASCADE;
DROP FUNCTION build, hang, looks;

-- Another value is never given in silence, in no partition. Others come and go while one of them holds it up.
CREATE TABLE t (id integer PRIMARY KEY, v integer, half integer GENERATED ALWAYS AS (v / 2) STORED) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (100) TO (200);
CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (200) TO (300);
CREATE TABLE t4 PARTITION OF t FOR VALUES FROM (300) TO (400);
CREATE FUNCTION expressions() RETURNS TABLE (partition regclass, columns text) LANGUAGE sql AS $$
    SELECT adrelid::regclass, string_agg(format('%s = %s', attname, pg_get_expr(adbin, adrelid)), ', ' ORDER BY attname)
      FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
     WHERE adrelid::regclass::text ~ '^t\d?$' AND attgenerated <> '' GROUP BY 1 ORDER BY 1
$$;
INSERT INTO t (id, v) SELECT g, 2 * g FROM generate_series(0, 399) g;
UPDATE t SET v = 7 WHERE id = 50;
SELECT zdm.change_type('t', 'v', 'numeric', name => 'half');
CALL zdm.wait('half', 'ready', 60);
SELECT relation::regclass, key, class, old_value, expected_value, actual_value FROM zdm.discrepancy WHERE name = 'half' AND resolved_at IS NULL;
DROP TABLE t2;
ALTER TABLE t DETACH PARTITION t3;
CREATE TABLE t5 (LIKE t INCLUDING GENERATED);
INSERT INTO t5 (id, v) SELECT g, CASE g WHEN 450 THEN 9 ELSE 8 END FROM generate_series(400, 499) g;
ALTER TABLE t ATTACH PARTITION t5 FOR VALUES FROM (400) TO (500);
UPDATE t SET v = 8 WHERE id = 50;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'ready', 60);
-- The row of the new partition was not overlooked, nor is what is written at ready.
UPDATE t SET v = 10 WHERE id = 450;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'ready', 60);
UPDATE t SET v = 9 WHERE id = 451;
SELECT zdm.cutover('half');
CALL zdm.wait('half', 'soak', 60);
SELECT id, v, half FROM t WHERE v = 9;
-- Partitions that have their guard already go, and leave nothing that evaluates the other expression.
DROP TABLE t1;
ALTER TABLE t DETACH PARTITION t4;
ALTER TABLE t5 RENAME TO t9;
UPDATE t SET v = 10 WHERE id = 451;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'soak', 60);
ALTER TABLE t9 RENAME TO t5;
SELECT count(*) FROM pg_class WHERE relname ~ '^zdm_\d+_';
SELECT * FROM expressions();
UPDATE t SET v = 11 WHERE id = 452;
SELECT v, zdm_old_v, half FROM t WHERE id = 452;
SELECT zdm.revert('half');
CALL zdm.wait('half', 'ready', 60);
CREATE TABLE t6 (LIKE t INCLUDING GENERATED);
INSERT INTO t6 (id, v, zdm_old_v) VALUES (550, 13, 13);  -- half is 7
ALTER TABLE t ATTACH PARTITION t6 FOR VALUES FROM (500) TO (600);
UPDATE t SET v = 12 WHERE id = 452;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'ready', 60);
UPDATE t SET v = 12 WHERE id = 550;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'ready', 60);
SELECT tableoid::regclass, v, zdm_new_v, half FROM t WHERE id IN (452, 550) ORDER BY id;
SELECT zdm.abort('half');
CALL zdm.wait('half', 'aborted', 60);
SELECT count(*) FROM pg_class WHERE relname ~ '^zdm_\d+_';
SELECT * FROM expressions();
\d t5
DROP TABLE t, t3, t4;

-- Partitions that come and go at ready and in soak.
CREATE TABLE t (id integer, v integer, mail text, twice bigint GENERATED ALWAYS AS (v * 2) STORED, small text GENERATED ALWAYS AS (lower(mail)) STORED) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (100) TO (200);
CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (200) TO (300);
CREATE TABLE t4 PARTITION OF t FOR VALUES FROM (300) TO (400);
INSERT INTO t (id, v, mail) SELECT g, g, 'P' || g % 20 FROM generate_series(0, 399) g;
SELECT zdm.change_type('t', 'v', 'bigint', name => 'v'), zdm.rename_column('t', 'mail', 'email', name => 'mail');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
CREATE TABLE t5 (LIKE t INCLUDING GENERATED);
INSERT INTO t5 (id, v, mail) SELECT g, g, 'P' || g % 20 FROM generate_series(400, 499) g;
ALTER TABLE t ATTACH PARTITION t5 FOR VALUES FROM (400) TO (500);
CREATE TABLE t6 PARTITION OF t FOR VALUES FROM (500) TO (700) PARTITION BY RANGE (id);
CREATE TABLE t7 PARTITION OF t6 FOR VALUES FROM (500) TO (600);
DROP TABLE t3;
ALTER TABLE t DETACH PARTITION t4;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
SELECT * FROM expressions();
INSERT INTO t (id, v, email) SELECT g, 3000000000 + g, 'Large' FROM unnest(array[0, 100, 400, 500]) g;
SELECT id, v, twice, small FROM t WHERE v > 1000 ORDER BY id;
DELETE FROM t WHERE v > 1000;
CREATE TABLE t8 (LIKE t INCLUDING GENERATED);
INSERT INTO t8 (id, v, zdm_old_v, email, mail) SELECT g, g, g, 'P' || g % 20, 'P' || g % 20 FROM generate_series(600, 699) g;
ALTER TABLE t6 ATTACH PARTITION t8 FOR VALUES FROM (600) TO (700);
DROP TABLE t1;
ALTER TABLE t DETACH PARTITION t2;
-- Of the table itself, too.
ALTER TABLE t ADD loud text GENERATED ALWAYS AS (upper(email)) STORED, ADD again text GENERATED ALWAYS AS (mail || mail) STORED;
SELECT zdm.revert('mail');
CALL zdm.wait('mail', 'ready', 60);
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 60);
SELECT * FROM expressions();
INSERT INTO t (id, v, mail) SELECT g, 1000 + g, 'Back' FROM generate_series(400, 600, 100) g;
SELECT id, v, zdm_new_v, twice, small, email FROM t WHERE v > 1000 ORDER BY id;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
-- What comes at the last moment and reads a name that goes, reads the other.
ALTER TABLE t ADD late text GENERATED ALWAYS AS ('late ' || mail) STORED;
SELECT zdm.contract('v'), zdm.contract('mail');
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('mail', 'done', 60);
SELECT * FROM expressions();
SELECT count(*) FROM t WHERE twice IS DISTINCT FROM v * 2 OR small IS DISTINCT FROM lower(email);
SELECT count(*) FROM pg_class WHERE relname ~ '^zdm_\d+_';
DROP TABLE t2, t4;
DROP FUNCTION expressions;

-- Of another type, it is told by name.
SELECT zdm.change_type('t', 'v', 'numeric', name => 'v');
CALL zdm.wait('v', 'ready', 60);
ALTER TABLE t ADD thrice numeric GENERATED ALWAYS AS (zdm_new_v * 3) STORED;
SELECT zdm.abort('v');
CALL zdm.wait('v', 'aborted', 60);
ALTER TABLE t DROP thrice;
SELECT zdm.resume('v');
CALL zdm.wait('v', 'aborted', 60);
DROP TABLE t;

-- Two migrations of what one column reads, at first without a leaf.
CREATE TABLE t (id integer, a integer, b integer, both_of integer GENERATED ALWAYS AS (a + b) STORED) PARTITION BY RANGE (id);
SELECT zdm.change_type('t', 'a', 'bigint', name => 'a'), zdm.change_type('t', 'b', 'bigint', name => 'b');
CALL zdm.wait('a', 'ready', 60);
CALL zdm.wait('b', 'ready', 60);
SELECT zdm.cutover('b');
CALL zdm.wait('b', 'soak', 60);
SELECT zdm.cutover('a');
CALL zdm.wait('a', 'soak', 60);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
INSERT INTO t (id, a, b) VALUES (1, 2, 3);
SELECT zdm.revert('b');
SELECT zdm.revert('a');
CALL zdm.wait('a', 'ready', 60);
SELECT zdm.revert('b');
CALL zdm.wait('b', 'ready', 60);
INSERT INTO t (id, a, b) VALUES (2, 3, 4);
SELECT adrelid::regclass, pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid IN ('t'::regclass, 't1'::regclass) ORDER BY 1;
SELECT zdm.abort('a'), zdm.abort('b');
CALL zdm.wait('a', 'aborted', 60);
CALL zdm.wait('b', 'aborted', 60);
SELECT * FROM t ORDER BY id;
-- Which rows they were that the messages count.
SELECT name, key FROM zdm.discrepancy ORDER BY name, found_at;
DROP TABLE t;
DROP EXTENSION zdm;
