-- add_column: beside the writes, filled where a value is given, NOT NULL where it is proved.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE TABLE person (id serial PRIMARY KEY, first text, last text);
INSERT INTO person (first, last) SELECT 'f' || g, 'l' || g FROM generate_series(1, 1000) g;
-- What the server does without touching a row.
SELECT pg_relation_filenode('person') AS before \gset
SELECT zdm.add_column('person', 'country', 'varchar(2)', column_default => '''de''', not_null => true);
CALL zdm.wait('public.person.country', 'done', 60);
SELECT zdm.add_column('person', 'seen', 'timestamptz', column_default => 'clock_timestamp()');
CALL zdm.wait('public.person.seen', 'done', 60);
SELECT pg_relation_filenode('person') = :before AS not_rewritten;
SELECT count(*), count(country), count(seen) FROM person;
-- Replayed: nothing happens.
SELECT zdm.add_column('person', 'country', 'varchar(2)', column_default => '''de''', not_null => true);
SELECT phase, count(*) FROM zdm.status GROUP BY 1;
\set VERBOSITY sqlstate
SELECT zdm.add_column('person', 'country', 'text', name => 'other');
\set VERBOSITY terse
SELECT zdm.add_column('person', 'country', 'text', name => 'other');
-- A value: old rows, and new ones of an application that does not know the column.
SET zdm.pace = '0.05';
SELECT zdm.add_column('person', 'name', 'text', value => 'first || '' '' || last', not_null => true, column_default => '''nobody''', name => 'name');
RESET zdm.pace;
CALL zdm.wait('name', 'backfill', 60);
INSERT INTO person (first, last) VALUES ('old', 'application');
INSERT INTO person (first, last, name) VALUES ('new', 'application', 'it knows');

SELECT zdm.configure('name', 'pace', 'full');
CALL zdm.wait('name', 'done', 60);
SELECT id, name FROM person WHERE id > 999 ORDER BY id;
INSERT INTO person (first, last) VALUES ('after', 'done') RETURNING name;
SELECT count(*) FILTER (WHERE name IS NULL) FROM person;
SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = 'person'::regclass AND a.attnum > 3 AND NOT attisdropped ORDER BY attname;
SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'person'::regclass AND NOT tgisinternal)
     + (SELECT count(*) FROM pg_constraint WHERE conrelid = 'person'::regclass AND contype = 'c') AS left_behind;
-- A row without a value: told, and the proof taken off again. Then given up.
INSERT INTO person (first, last) VALUES ('lonely', NULL);
SELECT zdm.add_column('person', 'initials', 'text', value => 'left(first, 1) || left(last, 1)', not_null => true, name => 'initials');
CALL zdm.wait('initials', 'done', 60);
SELECT name, key, class FROM zdm.discrepancy WHERE resolved_at IS NULL;
INSERT INTO person (first, last) VALUES ('lonely too', NULL);
SELECT zdm.abort('initials');
CALL zdm.wait('initials', 'aborted', 60);
SELECT count(*) FROM pg_attribute WHERE attrelid = 'person'::regclass AND attname = 'initials';
-- Refused at start.
SELECT zdm.add_column('person', 'x', 'integer', not_null => true);
SELECT zdm.add_column('person', 'x', 'integer', not_null => true, value => 'null');
SELECT zdm.add_column('person', 'x', 'integer', not_null => true, value => 'CASE WHEN 1 > 2 THEN 3 END');
SELECT zdm.add_column('person', 'x', 'integer', not_null => true, column_default => 'null');
SELECT zdm.add_column('person', 'x', 'serial');
SELECT zdm.add_column('person', 'x', 'integer', value => 'nothing + 1');
SELECT zdm.add_column('person', 'x', 'integer', value => '(random() * 10)::integer');
SELECT zdm.add_column('person', 'x', 'integer', column_default => '''text''');
DROP TABLE person;
-- Partitioned.
CREATE TABLE p (id integer, v integer) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (2000);
INSERT INTO p SELECT g, g FROM generate_series(1, 1000) g;
SELECT zdm.add_column('p', 'double', 'bigint', value => 'v * 2', not_null => true, column_default => '0', name => 'p');
CALL zdm.wait('p', 'done', 60);
SELECT count(*), sum(double - 2 * v) FROM p;
DROP TABLE p;
-- Values and defaults are those of the session that asks for the column, whatever the worker's has set.
CREATE TABLE day (id integer);
INSERT INTO day VALUES (1);
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Tokyo';
SELECT zdm.add_column('day', 'given', 'date', value => '''01/02/2019''', name => 'given');
CALL zdm.wait('given', 'done', 60);
SELECT zdm.add_column('day', 'default', 'date', column_default => '''01/02/2019''', name => 'default');
CALL zdm.wait('default', 'done', 60);
-- One that depends on settings is evaluated once for all rows that are there.
SELECT zdm.add_column('day', 'told', 'text', column_default => '''2019-02-01 00:00+00''::timestamptz', name => 'told');
CALL zdm.wait('told', 'done', 60);
SET datestyle = 'ISO, MDY';
RESET timezone;
SELECT * FROM day;
RESET datestyle;
DROP TABLE day;
DROP EXTENSION zdm;
