-- Security labels on a column: what a label hides of the one side can be read in the other at no moment.
CREATE EXTENSION zdm;
-- Without a provider, as the server keeps them.
CREATE PROCEDURE set_label(relation regclass, attribute name, given text) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL allow_system_table_mods = on;
    INSERT INTO pg_seclabel SELECT relation, 'pg_class'::regclass, attnum, 'masker', given FROM pg_attribute WHERE attrelid = relation AND attname = attribute;
END $$;
CREATE VIEW labels AS
    SELECT s.objoid::regclass AS relation, a.attname, s.provider, s.label
      FROM pg_seclabel s JOIN pg_attribute a ON a.attrelid = s.objoid AND a.attnum = s.objsubid AND s.classoid = 'pg_class'::regclass;
CREATE TABLE t (id integer PRIMARY KEY, card integer, mail text);
INSERT INTO t SELECT g, g, 'm' || g FROM generate_series(1, 100) g;
CALL set_label('t', 'card', 'MASKED');
CALL set_label('t', 'mail', 'MASKED');
SELECT zdm.change_type('t', 'card', 'bigint', name => 'm');
CALL zdm.wait('m', 'ready', 60);
TABLE labels ORDER BY relation::text, attname;
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
TABLE labels ORDER BY relation::text, attname;
SELECT zdm.revert('m');
CALL zdm.wait('m', 'ready', 60);
-- Taken off meanwhile: off on both.
SET allow_system_table_mods = on;
DELETE FROM pg_seclabel WHERE objsubid = (SELECT attnum FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'card') AND objoid = 't'::regclass;
RESET allow_system_table_mods;
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
TABLE labels ORDER BY relation::text, attname;
SELECT zdm.contract('m');
CALL zdm.wait('m', 'done', 60);
SELECT zdm.rename_column('t', 'mail', 'email', name => 'r');
CALL zdm.wait('r', 'ready', 60);
SELECT zdm.cutover('r');
CALL zdm.wait('r', 'soak', 60);
SELECT zdm.contract('r');
CALL zdm.wait('r', 'done', 60);
TABLE labels ORDER BY relation::text, attname;
-- Partitions have their own.
CREATE TABLE p (id integer, card integer) PARTITION BY LIST (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CALL set_label('p1', 'card', 'MASKED');
SELECT zdm.change_type('p', 'card', 'bigint', name => 'p');
CALL zdm.wait('p', 'ready', 60);
TABLE labels ORDER BY relation::text, attname;
SELECT zdm.abort('p');
CALL zdm.wait('p', 'aborted', 60);
-- Where there is no single successor it is refused.
SELECT zdm.replace_columns('t', '{email}', '{one text,two text}', '{email,email}', name => 'x');
SELECT zdm.split_table('t', 'mails', '{email}');
DROP TABLE t, p;
DROP VIEW labels;
DROP PROCEDURE set_label;
SET allow_system_table_mods = on;
DELETE FROM pg_seclabel WHERE provider = 'masker';
DROP EXTENSION zdm;
