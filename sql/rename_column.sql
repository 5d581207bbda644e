-- rename_column: both names work from expand until contract, for readers and writers of either deploy.
CREATE EXTENSION zdm;
CREATE TABLE person (id integer PRIMARY KEY, mail text NOT NULL DEFAULT 'none' UNIQUE, age integer);
CREATE INDEX person_lower ON person (lower(mail));
INSERT INTO person SELECT g, 'p' || g || '@example.org', g FROM generate_series(1, 1000) g;
SELECT zdm.rename_column('person', 'mail', 'email');
CALL zdm.wait('public.person.mail', 'ready', 60);
\d person
INSERT INTO person (id, mail) VALUES (1001, 'old@example.org');
INSERT INTO person (id, email) VALUES (1002, 'new@example.org');
UPDATE person SET mail = 'changed by old' WHERE id = 1;
UPDATE person SET email = 'changed by new' WHERE id = 2;
-- An unrelated change leaves both alone.
UPDATE person SET age = age + 1 WHERE id IN (1, 2, 3);
SELECT * FROM person WHERE id IN (1, 2, 3, 1001, 1002) ORDER BY id;
SELECT zdm.cutover('public.person.mail');
CALL zdm.wait('public.person.mail', 'soak', 60);
\d person
-- The application of before the deploy goes on: what it gives is kept, default or not.
INSERT INTO person (id, mail) VALUES (1003, 'still old@example.org');
INSERT INTO person (id, email) VALUES (1004, 'new again@example.org');
INSERT INTO person (id) VALUES (1005);
INSERT INTO person (id) VALUES (1006);
SELECT id, mail, email FROM person WHERE id > 1002 ORDER BY id;
SELECT zdm.verify('public.person.mail');
SELECT zdm.contract('public.person.mail');
CALL zdm.wait('public.person.mail', 'done', 60);
\d person
SELECT count(*), count(DISTINCT email) FROM person;
-- A replay of the migration file
SELECT zdm.rename_column('person', 'mail', 'email');

-- abort: the table as it was
SELECT zdm.rename_column('person', 'age', 'years', name => 'again');
CALL zdm.wait('again', 'ready', 60);
SELECT zdm.abort('again');
CALL zdm.wait('again', 'aborted', 60);
\d person
SELECT zdm.abort('again');
SELECT name, phase, state, next_action FROM zdm.status ORDER BY started_at;
-- ... and it may be started again.
SELECT zdm.rename_column('person', 'age', 'years', name => 'again');
CALL zdm.wait('again', 'ready', 60);
SELECT zdm.abort('again');
CALL zdm.wait('again', 'aborted', 60);
DROP TABLE person;
-- How values are stored stays as it was, for those that are copied too, and in each partition as it was there.
CREATE TABLE page (id integer, body text, note text) PARTITION BY LIST (id);
CREATE TABLE page_1 PARTITION OF page FOR VALUES IN (1);
CREATE TABLE page_2 PARTITION OF page FOR VALUES IN (2);
ALTER TABLE page ALTER body SET STORAGE EXTERNAL, ALTER body SET COMPRESSION pglz, ALTER note SET STORAGE MAIN;
ALTER TABLE page_2 ALTER body SET STORAGE EXTENDED;
ALTER TABLE page_1 ALTER body SET COMPRESSION pglz;
INSERT INTO page SELECT g, repeat('x', 20000), 'note' FROM generate_series(1, 2) g;
CREATE VIEW storage AS
    SELECT attrelid::regclass AS part, attname, attstorage, attcompression FROM pg_attribute
     WHERE attrelid IN (SELECT relid FROM pg_partition_tree('page')) AND attnum > 1 AND NOT attisdropped;
SELECT * FROM storage ORDER BY part::text, attname;
SELECT zdm.rename_column('page', 'body', 'text', name => 'stored');
CALL zdm.wait('stored', 'ready', 60);
SELECT id, pg_column_size(body), pg_column_size(text) FROM page ORDER BY id;
ALTER TABLE page_2 ALTER body SET STORAGE MAIN;
SELECT zdm.cutover('stored');
CALL zdm.wait('stored', 'soak', 60);
SELECT zdm.contract('stored');
CALL zdm.wait('stored', 'done', 60);
SELECT * FROM storage ORDER BY part::text, attname;
-- Another type has its own, as by plain ALTER TYPE.
SELECT zdm.change_type('page', 'text', 'varchar', forward => 'text', name => 'typed');
SELECT zdm.cutover('typed');
CALL zdm.wait('typed', 'soak', 60);
SELECT * FROM storage WHERE attname = 'text' ORDER BY part::text;
ALTER TABLE page ALTER note TYPE varchar USING note::varchar;
SELECT * FROM storage WHERE attname = 'note' ORDER BY part::text;
SELECT zdm.contract('typed');
CALL zdm.wait('typed', 'done', 60);
DROP VIEW storage;
DROP TABLE page;
-- A collation of its own comes along, in whatever schema it is.
CREATE SCHEMA "My words";
CREATE COLLATION "My words"."Plain ""C""" FROM "C";
CREATE TABLE word (id integer PRIMARY KEY, name text COLLATE "My words"."Plain ""C""" CHECK (name < 'z'), code varchar(10) COLLATE "C", note text);
INSERT INTO word VALUES (1, 'b', 'b'), (2, 'A', 'A');
CREATE INDEX ON word (name, code COLLATE "POSIX");
CREATE VIEW words AS SELECT name, code || name COLLATE "C" AS both FROM word;
SELECT zdm.rename_column('word', 'name', 'label', name => 'label'), zdm.rename_column('word', 'code', 'key', name => 'key');
CALL zdm.wait('label', 'ready', 60);
CALL zdm.wait('key', 'ready', 60);
SELECT zdm.cutover('label'), zdm.cutover('key');
CALL zdm.wait('label', 'soak', 60);
CALL zdm.wait('key', 'soak', 60);
INSERT INTO word (id, name, code) VALUES (3, 'a', 'a');
SELECT label, key FROM word ORDER BY label;
SELECT zdm.revert('key'), zdm.revert('label');
CALL zdm.wait('label', 'ready', 60);
CALL zdm.wait('key', 'ready', 60);
SELECT zdm.cutover('label'), zdm.cutover('key');
CALL zdm.wait('label', 'soak', 60);
CALL zdm.wait('key', 'soak', 60);
SELECT zdm.contract('label'), zdm.contract('key');
CALL zdm.wait('label', 'done', 60);
CALL zdm.wait('key', 'done', 60);
SELECT attname, format_type(atttypid, atttypmod), collnamespace::regnamespace, collname FROM pg_attribute JOIN pg_collation c ON c.oid = attcollation
 WHERE attrelid = 'word'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'word'::regclass ORDER BY 1;
DROP TABLE word CASCADE;
DROP SCHEMA "My words" CASCADE;
-- Who refers to it from another table refers to the new column, and the server knows that every row does.
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (p integer REFERENCES parent);
INSERT INTO parent SELECT generate_series(1, 10);
INSERT INTO child SELECT generate_series(1, 10);
SELECT zdm.rename_column('parent', 'id', 'number', name => 'number');
CALL zdm.wait('number', 'ready', 60);
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'child'::regclass AND contype = 'f' ORDER BY 1;
SELECT zdm.cutover('number');
CALL zdm.wait('number', 'soak', 60);
SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'child'::regclass AND contype = 'f' ORDER BY 1;
SELECT zdm.contract('number');
CALL zdm.wait('number', 'done', 60);
DROP TABLE child, parent;
DROP EXTENSION zdm;
