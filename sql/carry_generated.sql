-- Stored generated columns that read the column come along: they stay where they are and get the expression over the new
-- column, where every row has the values that it gives. The same table twice, one changed by zdm with a way back in
-- between, the other by plain DDL, which has to drop and add them.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE FUNCTION hang(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    ALTER TABLE t ADD twice bigint GENERATED ALWAYS AS (v * 2) STORED NOT NULL,
                  ADD "In all" numeric(12, 1) GENERATED ALWAYS AS (v + w) STORED,
                  ADD word varchar(12) GENERATED ALWAYS AS ('v' || v) STORED CHECK (word <> '');
    CREATE UNIQUE INDEX t_twice ON t (twice);
    COMMENT ON COLUMN t.twice IS 'two times';
END $$;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL, w integer, mail text,
                    small text GENERATED ALWAYS AS (lower(mail)) STORED);
    PERFORM hang(schema);
    INSERT INTO t SELECT g, g, nullif(g % 5, 0), nullif('P' || g % 20, 'P3') FROM generate_series(1, 500) g;
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef, a.attgenerated, pg_get_expr(d.adbin, d.adrelid),
                     col_description(a.attrelid, a.attnum),
                     (SELECT string_agg(concat_ws(' ', p.deptype, pg_describe_object(p.refclassid, p.refobjid, p.refobjsubid)), ', ' ORDER BY pg_describe_object(p.refclassid, p.refobjid, p.refobjsubid))
                        FROM pg_depend p WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid))
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = (schema || '.t')::regclass AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = (schema || '.t')::regclass
    UNION ALL
    SELECT concat_ws(' ', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = (schema || '.t')::regclass AND contype <> 'n'
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, replace(line, 'one.', '') AS line FROM looks('one')
    EXCEPT SELECT 'one', replace(line, 'two.', '') FROM looks('two')
    UNION ALL
    (SELECT 'two', replace(line, 'two.', '') FROM looks('two')
     EXCEPT SELECT 'two', replace(line, 'one.', '') FROM looks('one'));
TABLE difference;

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'v'), zdm.rename_column('one.t', 'mail', 'email', name => 'mail');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
SELECT kind, phase, sql FROM zdm.step WHERE name = 'v' AND kind LIKE '%\_generated' ORDER BY ordinal;
-- Written by either name they follow.
INSERT INTO one.t (id, v, w, mail) VALUES (501, 501, 1, 'Old');
INSERT INTO one.t (id, zdm_new_v, w, email) VALUES (502, 502, 1, 'New');
UPDATE one.t SET zdm_new_v = 1001, email = 'Changed' WHERE id = 1;
SELECT id, v, twice, "In all", word, small FROM one.t WHERE id IN (1, 501, 502) ORDER BY id;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
-- Now from the new column: beyond the old type's range too.
INSERT INTO one.t (id, v, w, email) VALUES (503, 3000000000, 1, 'Large');
INSERT INTO one.t (id, v, w, mail) VALUES (504, 504, 1, 'Old again');
SELECT id, v, zdm_old_v, twice, "In all", word, small FROM one.t WHERE id > 502 ORDER BY id;
DELETE FROM one.t WHERE id = 503;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'one.t'::regclass ORDER BY indexrelid::regclass::text;
SELECT zdm.revert('mail');
CALL zdm.wait('mail', 'ready', 60);
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 60);
UPDATE one.t SET v = 1002 WHERE id = 2;
INSERT INTO one.t (id, v, w, mail) VALUES (505, 505, 1, 'Back');
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(new|[0-9])|email' ORDER BY 1, 2;
SELECT zdm.verify('v'), zdm.verify('mail');
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
UPDATE one.t SET v = 1003 WHERE id = 3;
SELECT zdm.contract('v'), zdm.contract('mail');
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('mail', 'done', 60);
INSERT INTO one.t (id, v, w, email) VALUES (506, 3000000000, 1, 'Large');

UPDATE two.t SET mail = 'Changed' WHERE id = 1;
UPDATE two.t SET v = 1000 + id WHERE id < 4;
INSERT INTO two.t (id, v, w, mail) VALUES (501, 501, 1, 'Old'), (502, 502, 1, 'New'), (504, 504, 1, 'Old again'), (505, 505, 1, 'Back');
ALTER TABLE two.t DROP twice, DROP "In all", DROP word;
ALTER TABLE two.t ALTER v TYPE bigint;
SELECT hang('two');
ALTER TABLE two.t RENAME mail TO email;
INSERT INTO two.t (id, v, w, email) VALUES (506, 3000000000, 1, 'Large');
SELECT * FROM difference ORDER BY 1, 2;
SELECT count(*) FROM (SELECT id, v, w, email, twice, "In all", word, small FROM one.t EXCEPT SELECT id, v, w, email, twice, "In all", word, small FROM two.t) d;
SELECT count(*), sum(twice) FROM one.t;
-- Still one whole: it goes with what it reads.
ALTER TABLE one.t DROP COLUMN v;
ALTER TABLE one.t DROP COLUMN v CASCADE;
SELECT attname FROM pg_attribute WHERE attrelid = 'one.t'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, hang, looks;

-- Another value is never given in silence: not before cutover ...
CREATE TABLE t (id integer PRIMARY KEY, v integer, half integer GENERATED ALWAYS AS (v / 2) STORED);
INSERT INTO t SELECT g, 2 * g FROM generate_series(1, 1000) g;
INSERT INTO t VALUES (1001, 7);
SELECT zdm.change_type('t', 'v', 'numeric', name => 'half');
CALL zdm.wait('half', 'ready', 60);
SELECT key, class, old_value, expected_value, actual_value FROM zdm.discrepancy WHERE name = 'half' AND resolved_at IS NULL;
SELECT phase, state, next_action FROM zdm.status WHERE name = 'half';
UPDATE t SET v = 8 WHERE id = 1001;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'ready', 60);
SELECT count(*) FROM zdm.discrepancy WHERE name = 'half' AND resolved_at IS NULL;
-- ... nor at cutover, of what was written since ...
INSERT INTO t VALUES (1002, 9);
SELECT zdm.cutover('half');
CALL zdm.wait('half', 'soak', 60);
SELECT v, zdm_new_v, half FROM t WHERE id = 1002;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass;
DELETE FROM t WHERE id = 1002;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'soak', 60);
-- ... nor at revert.
INSERT INTO t VALUES (1003, 10.5);
SELECT v, zdm_old_v, half FROM t WHERE id = 1003;
INSERT INTO t VALUES (1004, 11);
SELECT v, zdm_old_v, half FROM t WHERE id = 1004;
SELECT zdm.revert('half');
CALL zdm.wait('half', 'ready', 60);
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 't'::regclass AND indexrelid::regclass::text NOT LIKE '%unfit%';
SELECT key, actual_value FROM zdm.discrepancy WHERE name = 'half' AND resolved_at IS NULL ORDER BY key->>'id';
DELETE FROM t WHERE id > 1002;
SELECT zdm.resume('half');
CALL zdm.wait('half', 'ready', 60);
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 't'::regclass;
SELECT zdm.abort('half');
CALL zdm.wait('half', 'aborted', 60);
\d t
DROP TABLE t;

-- Bit for bit, and no longer than the column is.
CREATE TABLE t (id integer PRIMARY KEY, v numeric(6, 1), same numeric GENERATED ALWAYS AS (v + 1) STORED, w integer,
                word varchar(3) GENERATED ALWAYS AS (w::text) STORED);
INSERT INTO t (id, v, w) VALUES (1, 1.5, 123);
SELECT zdm.change_type('t', 'v', 'numeric(8,2)', name => 'scale');
CALL zdm.wait('scale', 'ready', 60);
SELECT zdm.abort('scale');
CALL zdm.wait('scale', 'aborted', 60);
SELECT zdm.change_type('t', 'w', 'numeric(6,2)', name => 'word');
CALL zdm.wait('word', 'ready', 60);
SELECT zdm.abort('word');
CALL zdm.wait('word', 'aborted', 60);
DROP TABLE t;

-- What cannot come along is refused by name: another operator, another meaning by a setting, direct.
CREATE TABLE t (v integer, w timestamp, rest integer GENERATED ALWAYS AS (v % 7) STORED,
                year integer GENERATED ALWAYS AS (extract(year FROM w)) STORED);
\set VERBOSITY terse
SELECT zdm.change_type('t', 'v', 'text');
SELECT zdm.change_type('t', 'w', 'timestamptz');
SELECT zdm.replace_columns('t', '{v}', '{a integer,b integer}', '{v,v}');
SET zdm.mode = direct;
SELECT zdm.change_type('t', 'v', 'bigint');
SELECT zdm.rename_column('t', 'v', 'n');
RESET zdm.mode;
\set VERBOSITY default
DROP TABLE t;

-- No rewrite, but a generated column reads it: then not by a plain ALTER, which the server refuses.
CREATE TABLE t (v varchar(10), loud text GENERATED ALWAYS AS (upper(v)) STORED);
INSERT INTO t SELECT 'word' || g FROM generate_series(1, 100) g;
SELECT zdm.change_type('t', 'v', 'text', name => 'text');
SELECT zdm.cutover('text');
CALL zdm.wait('text', 'soak', 60);
SELECT zdm.contract('text');
CALL zdm.wait('text', 'done', 60);
\d t
DROP TABLE t;

-- Two migrations of what one of them reads, and partitions.
CREATE TABLE t (a integer, b integer, both_of integer GENERATED ALWAYS AS (a + b) STORED);
INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
SELECT zdm.change_type('t', 'a', 'bigint', name => 'a'), zdm.change_type('t', 'b', 'bigint', name => 'b');
CALL zdm.wait('a', 'ready', 60);
CALL zdm.wait('b', 'ready', 60);
SELECT zdm.cutover('b');
CALL zdm.wait('b', 'soak', 60);
SELECT zdm.cutover('a');
CALL zdm.wait('a', 'soak', 60);
INSERT INTO t (a, b) VALUES (200, 1);
SELECT zdm.revert('b');
SELECT state, message FROM zdm.status WHERE name = 'b' AND state = 'waiting';
SELECT zdm.revert('a');
CALL zdm.wait('a', 'ready', 60);
CALL zdm.wait('b', 'ready', 60);
INSERT INTO t (a, b) VALUES (201, 1);
-- Called at once: one waits for the other.
SELECT zdm.cutover('a'), zdm.cutover('b');
CALL zdm.wait('a', 'soak', 60);
CALL zdm.wait('b', 'soak', 60);
SELECT zdm.contract('a'), zdm.contract('b');
CALL zdm.wait('a', 'done', 60);
CALL zdm.wait('b', 'done', 60);
INSERT INTO t (a, b) VALUES (202, 1);
SELECT * FROM t WHERE a >= 200 ORDER BY a;
\d t
DROP TABLE t;

CREATE TABLE t (id integer, v integer, twice integer GENERATED ALWAYS AS (v * 2) STORED) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
CREATE TABLE t2 (gone integer, twice integer GENERATED ALWAYS AS (3) STORED, id integer, v integer);
ALTER TABLE t2 DROP twice, DROP gone;
ALTER TABLE t2 ADD twice integer GENERATED ALWAYS AS (v * 2) STORED;
ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (100) TO (200);
INSERT INTO t SELECT g, g FROM generate_series(1, 199) g;
SELECT zdm.rename_column('t', 'v', 'n', name => 'n');
SELECT zdm.cutover('n');
CALL zdm.wait('n', 'soak', 60);
INSERT INTO t (id, n) VALUES (50, 1000), (150, 1001);
SELECT zdm.revert('n');
CALL zdm.wait('n', 'ready', 60);
INSERT INTO t (id, v) VALUES (51, 1002), (151, 1003);
SELECT zdm.cutover('n');
CALL zdm.wait('n', 'soak', 60);
SELECT zdm.contract('n');
CALL zdm.wait('n', 'done', 60);
INSERT INTO t (id, n) VALUES (52, 1004), (152, 1005);
SELECT tableoid::regclass, * FROM t WHERE n >= 1000 ORDER BY n;
SELECT adrelid::regclass, pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid IN ('t'::regclass, 't1'::regclass, 't2'::regclass) ORDER BY adrelid::regclass::text;
SELECT count(*) FROM t WHERE twice IS DISTINCT FROM n * 2;
-- Which rows they were that the messages count.
SELECT name, key FROM zdm.discrepancy ORDER BY name, found_at;
DROP TABLE t;
DROP EXTENSION zdm;
