-- What others do to the table while a migration is under way: it gets another name, another owner, a trigger; columns that an
-- expression reads are renamed or dropped. The migration goes on, or says what stands in the way; no value is lost.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION zdm;
-- Another name, while another table gets the name.
CREATE SCHEMA elsewhere;
CREATE TABLE t (id integer PRIMARY KEY, v integer NOT NULL CHECK (v > 0));
INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
CREATE TABLE s (id integer);
INSERT INTO s SELECT generate_series(1, 100);
CREATE TABLE d (id integer, gone integer NOT NULL);
BEGIN;
SELECT zdm.change_type('t', 'v', 'bigint', name => 't');
SELECT zdm.add_column('s', 'c', 'integer', 'id + 1', true, '7', name => 's');
SELECT zdm.add_column('s', 'plain', 'integer', name => 'plain');
SELECT zdm.drop_column('d', 'gone', name => 'd');
ALTER TABLE t RENAME TO t_old;
ALTER TABLE s SET SCHEMA elsewhere;
ALTER TABLE d RENAME TO "d; ""d";
CREATE TABLE t (id integer, v integer, zdm_new_v bigint);
COMMIT;
CALL zdm.wait('t', 'ready', 60);
CALL zdm.wait('s', 'done', 60);
CALL zdm.wait('plain', 'done', 60);
SELECT zdm.cutover('d');
CALL zdm.wait('d', 'soak', 60);
SELECT zdm.cutover('t');
CALL zdm.wait('t', 'soak', 60);
ALTER TABLE t_old SET SCHEMA elsewhere;
ALTER TABLE "d; ""d" RENAME TO d;
SELECT zdm.revert('t');
CALL zdm.wait('t', 'ready', 60);
SELECT zdm.cutover('t');
SELECT zdm.contract('d');
CALL zdm.wait('t', 'soak', 60);
CALL zdm.wait('d', 'done', 60);
ALTER TABLE elsewhere.t_old RENAME TO t_new;
SELECT zdm.contract('t');
CALL zdm.wait('t', 'done', 60);
SELECT name, relation FROM zdm.status ORDER BY name;
\d elsewhere.t_new
\d elsewhere.s
\d d
\d t
DROP TABLE t, d;
DROP SCHEMA elsewhere CASCADE;
SELECT name, relation FROM zdm.status ORDER BY name;
-- Another owner: the migration is the new owner's, who need not know that there was one before.
CREATE ROLE zdm_giver;
CREATE ROLE zdm_taker;
CREATE SCHEMA given;
GRANT ALL ON SCHEMA given TO zdm_giver, zdm_taker;
CREATE TABLE given.t (id integer PRIMARY KEY, v integer NOT NULL);
INSERT INTO given.t SELECT g, g FROM generate_series(1, 100) g;
CREATE INDEX t_v ON given.t (v);
ALTER TABLE given.t OWNER TO zdm_giver;
SET ROLE zdm_giver;
SELECT zdm.change_type('given.t', 'v', 'bigint', name => 'g');
RESET ROLE;
CALL zdm.wait('g', 'ready', 60);
ALTER TABLE given.t OWNER TO zdm_taker;
DROP OWNED BY zdm_giver;
DROP ROLE zdm_giver;
SET ROLE zdm_taker;
SELECT zdm.cutover('g');
CALL zdm.wait('g', 'soak', 60);
SELECT zdm.revert('g');
CALL zdm.wait('g', 'ready', 60);
SELECT zdm.abort('g');
CALL zdm.wait('g', 'aborted', 60);
RESET ROLE;
\d given.t
DROP SCHEMA given CASCADE;
DROP ROLE zdm_taker;
-- Columns that an expression reads.
CREATE TABLE r (id integer PRIMARY KEY, a integer, b integer);
INSERT INTO r SELECT g, g, g FROM generate_series(1, 10) g;
SELECT zdm.change_type('r', 'a', 'bigint', forward => 'a + b - b', reverse => 'a', name => 'r');
CALL zdm.wait('r', 'ready', 60);
ALTER TABLE r DROP COLUMN b;
SELECT zdm.rename_column('r', 'b', 'c');
SELECT zdm.drop_column('r', 'b');
SELECT zdm.set_not_null('r', 'b', name => 'not null');
CALL zdm.wait('not null', 'done', 60);
-- Renamed, they part old and new; a cutover finds that out, and what was written meanwhile when it is mended.
ALTER TABLE r RENAME b TO c;
SET client_min_messages = error;
INSERT INTO r VALUES (11, 11, 11);
SET client_min_messages = warning;
SELECT zdm.cutover('r');
CALL zdm.wait('r', 'soak', 60);
SELECT id, a, zdm_new_a FROM r WHERE id > 9 ORDER BY id;
ALTER TABLE r RENAME c TO b;
SELECT zdm.resume('r');
CALL zdm.wait('r', 'soak', 60);
SELECT zdm.repair('r');
SELECT zdm.resume('r');
CALL zdm.wait('r', 'soak', 60);
SELECT id, a, pg_typeof(a) FROM r WHERE id > 9 ORDER BY id;
-- A trigger of somebody else that fires behind the sync trigger.
CREATE FUNCTION add_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := NEW.a + 1; RETURN NEW; END $$;
CREATE TRIGGER "~~late" BEFORE INSERT OR UPDATE ON r FOR EACH ROW EXECUTE FUNCTION add_one();
UPDATE r SET a = 100 WHERE id = 1;
SELECT zdm.revert('r');
CALL zdm.wait('r', 'ready', 60);
ALTER TRIGGER "~~late" ON r RENAME TO early;
SELECT zdm.resume('r');
CALL zdm.wait('r', 'ready', 60);
SELECT zdm.repair('r');
SELECT zdm.resume('r');
CALL zdm.wait('r', 'ready', 60);
SELECT id, a, pg_typeof(a) FROM r WHERE id = 1;
ALTER TRIGGER early ON r RENAME TO "~~late";
UPDATE r SET a = 200 WHERE id = 1;
SELECT zdm.cutover('r');
CALL zdm.wait('r', 'soak', 60);
DROP TRIGGER "~~late" ON r;
SELECT zdm.resume('r');
CALL zdm.wait('r', 'soak', 60);
SELECT zdm.repair('r');
SELECT zdm.resume('r');
CALL zdm.wait('r', 'soak', 60);
SELECT id, a, pg_typeof(a) FROM r WHERE id = 1;
SELECT zdm.contract('r');
CALL zdm.wait('r', 'done', 60);
DROP TABLE r;
DROP FUNCTION add_one;
-- A session that has run a trigger function over the column goes on writing when its type changes under it.
CREATE TABLE f (id integer PRIMARY KEY, v integer);
CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.v < OLD.v THEN RAISE 'never down'; END IF;
    NEW.v := NEW.v + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER count_up BEFORE INSERT OR UPDATE ON f FOR EACH ROW EXECUTE FUNCTION count_up();
INSERT INTO f VALUES (1, 1);
UPDATE f SET v = v + 1;
SELECT zdm.change_type('f', 'v', 'bigint', name => 'f');
SELECT zdm.cutover('f');
CALL zdm.wait('f', 'soak', 60);
INSERT INTO f VALUES (2, 1);
UPDATE f SET v = v + 1;
SELECT zdm.revert('f');
CALL zdm.wait('f', 'ready', 60);
INSERT INTO f VALUES (3, 1);
UPDATE f SET v = v + 1;
SELECT zdm.verify('f');
SELECT zdm.cutover('f');
CALL zdm.wait('f', 'soak', 60);
SELECT zdm.contract('f');
CALL zdm.wait('f', 'done', 60);
UPDATE f SET v = v + 1;
SELECT * FROM f ORDER BY id;
DROP TABLE f;
DROP FUNCTION count_up;
-- A revert that rows stand in the way of leaves nothing behind that fails the application's writes.
CREATE TABLE n (id integer PRIMARY KEY, v integer NOT NULL CONSTRAINT n_positive CHECK (v > 0));
INSERT INTO n SELECT g, g FROM generate_series(1, 10) g;
SELECT zdm.change_type('n', 'v', 'numeric', name => 'n');
SELECT zdm.cutover('n');
CALL zdm.wait('n', 'soak', 60);
ALTER TABLE n ALTER v DROP NOT NULL;
INSERT INTO n (id, v) VALUES (11, 0.4);
SELECT zdm.revert('n');
CALL zdm.wait('n', 'ready', 60);
INSERT INTO n (id, v) VALUES (12, 0.3);
DELETE FROM n WHERE v < 1;
SELECT zdm.resume('n');
CALL zdm.wait('n', 'ready', 60);
\d n
SELECT zdm.abort('n');
CALL zdm.wait('n', 'aborted', 60);
DROP TABLE n;
-- Without the trigger that fills the new column nothing would pass what proves it NOT NULL: it goes along.
CREATE TABLE n (id integer PRIMARY KEY, v integer NOT NULL, w integer NOT NULL CONSTRAINT n_w CHECK (w > 0), x integer);
CREATE TABLE p (id integer, v integer NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (100);
SELECT zdm.change_type('n', 'v', 'bigint', forward => 'v + coalesce(x, 0)', reverse => 'v - coalesce(x, 0)', name => 'n');
SELECT zdm.change_type('n', 'w', 'bigint', name => 'w');
SELECT zdm.change_type('p', 'v', 'bigint', name => 'p');
CALL zdm.wait('n', 'ready', 60);
CALL zdm.wait('w', 'ready', 60);
CALL zdm.wait('p', 'ready', 60);
ALTER TABLE n DROP COLUMN x CASCADE;
INSERT INTO n VALUES (1, 1, 1);
SELECT zdm.abort('n');
CALL zdm.wait('n', 'aborted', 60);
-- What has become the application's own stays.
SELECT zdm.cutover('w');
CALL zdm.wait('w', 'soak', 60);
DROP EXTENSION zdm CASCADE;
INSERT INTO n (id, v, w) VALUES (2, 2, 2);
INSERT INTO n (id, v, w) VALUES (3, 3, -3);
INSERT INTO p VALUES (1, 1);
SELECT conrelid::regclass, conname FROM pg_constraint WHERE conrelid IN ('n'::regclass, 'p'::regclass, 'p_low'::regclass) AND contype = 'c' ORDER BY 1, 2;
SELECT attname, format_type(atttypid, NULL), attnotnull FROM pg_attribute WHERE attrelid = 'n'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
DROP TABLE n, p;
