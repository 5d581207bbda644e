-- Virtual generated columns, which the server has since 18, come along as stored ones do: they get the expression over
-- the new column, where every row has the value that it gives.
SELECT current_setting('server_version_num')::integer < 180000 AS has_none \gset
\if :has_none
\quit
\endif
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE TABLE plain (id integer PRIMARY KEY, v integer NOT NULL, mail text,
                    twice bigint GENERATED ALWAYS AS (v * 2) VIRTUAL NOT NULL CHECK (twice > 0),
                    word varchar(12) GENERATED ALWAYS AS ('v' || v),
                    small text GENERATED ALWAYS AS (lower(mail)) VIRTUAL);
COMMENT ON COLUMN plain.twice IS 'two times';
CREATE TABLE parted (id integer, v integer, half numeric GENERATED ALWAYS AS (v / 2.0) VIRTUAL) PARTITION BY RANGE (id);
CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE high PARTITION OF parted (half GENERATED ALWAYS AS (v / 2.0 + 1) VIRTUAL) FOR VALUES FROM (100) TO (200);
INSERT INTO plain (id, v, mail) SELECT g, g, nullif('P' || g % 20, 'P3') FROM generate_series(1, 500) g;
INSERT INTO parted (id, v) SELECT g, g FROM generate_series(1, 199) g;
CREATE VIEW expressions AS
    SELECT adrelid::regclass AS "table", attname AS "column", attgenerated AS kind, attnotnull AS "not null", pg_get_expr(adbin, adrelid) AS expression,
           col_description(adrelid, attnum) AS comment
      FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
     WHERE adrelid IN ('plain'::regclass, 'parted'::regclass, 'low'::regclass, 'high'::regclass) ORDER BY adrelid::regclass::text, attnum;
CREATE TABLE before AS SELECT * FROM plain;
CREATE TABLE parted_before AS SELECT * FROM parted;

SELECT zdm.change_type('plain', 'v', 'bigint', name => 'v'), zdm.rename_column('plain', 'mail', 'email', name => 'mail'),
       zdm.change_type('parted', 'v', 'bigint', name => 'parted');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
CALL zdm.wait('parted', 'ready', 60);
SELECT zdm.cutover('v'), zdm.cutover('mail'), zdm.cutover('parted');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
CALL zdm.wait('parted', 'soak', 60);
TABLE expressions;
SELECT count(*) FROM (SELECT id, v, email, twice, word, small FROM plain EXCEPT TABLE before) d;
SELECT count(*) FROM (SELECT id, v, half FROM parted EXCEPT TABLE parted_before) d;
-- Beyond the old type's range: what the new column gives.
INSERT INTO plain (id, v, email) VALUES (501, 3000000000, 'Large');
SELECT id, v, twice, word, small FROM plain WHERE id = 501;
DELETE FROM plain WHERE id = 501;
SELECT zdm.revert('v'), zdm.revert('mail'), zdm.revert('parted');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
CALL zdm.wait('parted', 'ready', 60);
TABLE expressions;
SELECT zdm.cutover('v'), zdm.cutover('mail'), zdm.cutover('parted');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
CALL zdm.wait('parted', 'soak', 60);
SELECT zdm.contract('v'), zdm.contract('mail'), zdm.contract('parted');
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('mail', 'done', 60);
CALL zdm.wait('parted', 'done', 60);
TABLE expressions;
SELECT count(*) FROM (SELECT id, v, email, twice, word, small FROM plain EXCEPT TABLE before) d;
SELECT count(*) FROM (SELECT id, v, half FROM parted EXCEPT TABLE parted_before) d;
DROP TABLE plain, parted, before, parted_before CASCADE;

-- Whoever waits for ready is told what would change: with numeric, v / 4 is no whole number. What is written later is
-- what the expression says, and fails no write.
CREATE TABLE t (id integer PRIMARY KEY, v integer, quarter numeric GENERATED ALWAYS AS (CASE WHEN v < 100 THEN v ELSE v / 4 END) VIRTUAL,
                thousands integer GENERATED ALWAYS AS (v * 1000) VIRTUAL);
INSERT INTO t (id, v) SELECT g, g FROM generate_series(1, 8) g;
UPDATE t SET v = 102 WHERE id = 3;
SELECT zdm.change_type('t', 'v', 'numeric', name => 'n');
CALL zdm.wait('n', 'ready', 60);
SELECT zdm.abort('n');
CALL zdm.wait('n', 'aborted', 60);
SELECT id, v, quarter FROM t WHERE id < 4 ORDER BY id;
UPDATE t SET v = 104 WHERE id = 3;
UPDATE t SET v = 4 WHERE id > 3;
SELECT zdm.change_type('t', 'v', 'bigint', name => 'n');
CALL zdm.wait('n', 'ready', 60);
INSERT INTO t (id, v) VALUES (9, 3000000);
SELECT zdm.cutover('n');
CALL zdm.wait('n', 'soak', 60);
INSERT INTO t (id, v) VALUES (10, 3000000000);
SELECT id, v, quarter FROM t WHERE id IN (3, 9, 10) ORDER BY id;
SELECT thousands FROM t WHERE id = 10;
DELETE FROM t WHERE id = 10;
SELECT zdm.revert('n');
CALL zdm.wait('n', 'ready', 60);
SELECT id, v, quarter FROM t WHERE id IN (3, 9) ORDER BY id;
SELECT zdm.abort('n');
CALL zdm.wait('n', 'aborted', 60);
DROP TABLE t;
DROP EXTENSION zdm;
