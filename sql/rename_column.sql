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
DROP EXTENSION zdm;
