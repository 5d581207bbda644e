-- split_table, and what others do with the two tables meanwhile: triggers, rights, types and settings of their own.
CREATE EXTENSION zdm;
SET zdm.pace = 'full';
CREATE ROLE split_owner;
CREATE ROLE split_other;
GRANT USAGE, CREATE ON SCHEMA public TO split_owner, split_other;
CREATE SCHEMA kinds;
CREATE TYPE kinds.mood AS ENUM ('good', 'bad');
CREATE TYPE kinds.pair AS (x integer, y integer);
GRANT USAGE ON SCHEMA kinds TO split_owner, split_other;
-- A statement that no trigger sees.
CREATE FUNCTION unseen(statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    ALTER TABLE person_state DISABLE TRIGGER USER;
    EXECUTE statement;
    FOR one IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'person_state'::regclass AND NOT tgisinternal LOOP
        EXECUTE format('ALTER TABLE person_state ENABLE ALWAYS TRIGGER %I', one.tgname);
    END LOOP;
END $$;
SET ROLE split_owner;
CREATE TABLE person (
    id    numeric PRIMARY KEY,
    name  text,
    spot  kinds.pair NOT NULL DEFAULT ROW(0, NULL),
    mood  kinds.mood DEFAULT 'good'
);
INSERT INTO person SELECT g, 'n' || g, ROW(g, NULL)::kinds.pair FROM generate_series(1, 300) g;
SELECT zdm.split_table('person', 'person_state', '{spot,mood}', name => 's');
CALL zdm.wait('s', 'ready', 60);
-- A value that is not NULL, though all or some of its fields are.
UPDATE person SET spot = ROW(NULL, NULL) WHERE id = 1;
UPDATE person SET spot = ROW(5, NULL) WHERE id = 2;
SELECT id, spot FROM person_state WHERE id < 3 ORDER BY id;
-- Keys that are equal, and not the same.
UPDATE person SET id = 1.00 WHERE id = 1;
SELECT id FROM person_state WHERE id = 1;
SELECT zdm.verify('s');

-- A trigger of the same name on a table of somebody else's is not the other part.
RESET ROLE;
SELECT tgname AS name, substring(pg_get_triggerdef(oid) FROM 'EXECUTE.*') AS call FROM pg_trigger
 WHERE tgrelid = 'person_state'::regclass AND tgtype & 2 = 0 AND tgtype & 1 = 1 \gset
SET ROLE split_other;
CREATE TABLE trap (id numeric PRIMARY KEY, spot kinds.pair, mood kinds.mood);
CREATE TRIGGER :"name" AFTER INSERT OR UPDATE OR DELETE ON trap FOR EACH ROW :call;
SET ROLE split_owner;
GRANT SELECT ON person TO split_other;
UPDATE person SET mood = 'bad' WHERE id = 3;
SELECT mood FROM person_state WHERE id = 3;
SET ROLE split_other;
SELECT count(*) FROM trap;
INSERT INTO trap VALUES (3, NULL, 'good');
SET ROLE split_owner;
SELECT mood FROM person WHERE id = 3;
SET ROLE split_other;
DROP TABLE trap;
-- Nor is the function of use to anybody.
CREATE TABLE wrong (id integer);
CREATE TRIGGER wrong BEFORE UPDATE ON wrong EXECUTE FUNCTION zdm.mirror();
INSERT INTO wrong VALUES (1);
UPDATE wrong SET id = 2;
DROP TRIGGER wrong ON wrong;
CREATE TRIGGER wrong AFTER UPDATE ON wrong FOR EACH ROW EXECUTE FUNCTION zdm.mirror('~zdm_sync_1');
UPDATE wrong SET id = 3;
DROP TABLE wrong;

-- Row security, made and forced in mid-migration, hides no row from the sync nor from verify.
SET ROLE split_owner;
ALTER TABLE person ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE person_state ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY low ON person USING (id < 100);
CREATE POLICY none ON person_state FOR SELECT USING (false);
UPDATE person SET mood = 'bad' WHERE id = 4;
SELECT zdm.verify('s');
RESET ROLE;
SELECT mood FROM person_state WHERE id = 4;
SELECT unseen('DELETE FROM person_state WHERE id = 200');
SELECT zdm.verify('s');
SET ROLE split_owner;
SELECT zdm.repair('s');
SELECT zdm.verify('s');
ALTER TABLE person NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
ALTER TABLE person_state NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;

-- A trigger on the new table that makes something else of a value: both tables have that.
CREATE FUNCTION cheer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.mood := 'good'; RETURN NEW; END $$;
CREATE TRIGGER cheer BEFORE INSERT OR UPDATE ON person_state FOR EACH ROW EXECUTE FUNCTION cheer();
UPDATE person SET mood = 'bad' WHERE id = 5;
INSERT INTO person (id, mood) VALUES (400, 'bad');
SELECT p.id, p.mood, s.mood FROM person p JOIN person_state s USING (id) WHERE id IN (5, 400) ORDER BY 1;
DROP TRIGGER cheer ON person_state;
SELECT zdm.verify('s');

-- Who may insert, but not update, overwrites nothing that is not copied yet.
GRANT INSERT ON person_state TO split_other;
RESET ROLE;
SELECT unseen('DELETE FROM person_state WHERE id = 6');
SELECT zdm.verify('s');
SET ROLE split_other;
INSERT INTO person_state VALUES (6, ROW(66, 66), 'bad');
SET ROLE split_owner;
SELECT spot FROM person WHERE id = 6;
SELECT zdm.repair('s');

-- Other settings than those that the default was written under.
SELECT zdm.cutover('s');
CALL zdm.wait('s', 'soak', 60);
SET search_path = pg_catalog;
INSERT INTO public.person (id, name) VALUES (500, 'new code');
INSERT INTO public.person_state (id, spot) VALUES (500, ROW(1, 2)) RETURNING *;
RESET search_path;
SELECT spot, mood FROM person WHERE id = 500;
SELECT zdm.verify('s');
-- Renamed beside it, table and column: the next write knows.
ALTER TABLE person_state RENAME TO state_of_person;
UPDATE person SET mood = 'bad' WHERE id = 7;
SELECT mood FROM state_of_person WHERE id = 7;
ALTER TABLE state_of_person RENAME TO person_state;
-- Both emptied in one command.
TRUNCATE person, person_state;
TRUNCATE person_state, person;
SELECT zdm.verify('s');
SELECT zdm.contract('s');
CALL zdm.wait('s', 'done', 60);
RESET ROLE;
DROP TABLE person, person_state;
DROP EXTENSION zdm CASCADE;
DROP SCHEMA kinds CASCADE;
DROP FUNCTION cheer, unseen;
REVOKE ALL ON SCHEMA public FROM split_owner, split_other;
DROP ROLE split_owner, split_other;
