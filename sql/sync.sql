-- The sync trigger's rules, written by hand so that they can be seen without a worker.
CREATE EXTENSION zdm;
\set VERBOSITY terse
CREATE TABLE s (id integer PRIMARY KEY, a integer, b text, other text);
INSERT INTO s VALUES (1, 10, NULL, 'not backfilled'), (2, 20, NULL, 'not backfilled');
CREATE TRIGGER "~zdm_sync_1" BEFORE INSERT OR UPDATE ON s FOR EACH ROW
    EXECUTE FUNCTION zdm.sync('1', 'old', '', '1', 'a', '($2)::integer', '1', 'b', '($1)::text');
-- INSERT: the new side given -> old; else old -> new
INSERT INTO s (id, a) VALUES (11, 110);
INSERT INTO s (id, b) VALUES (12, '120');
INSERT INTO s (id, a, b) VALUES (13, 130, '131');
INSERT INTO s (id, a, b) VALUES (14, 140, '140');
INSERT INTO s (id) VALUES (15);
SELECT * FROM s WHERE id > 10 ORDER BY id;
-- UPDATE: the side that changed wins; both changed: consistent, or the trusted one
UPDATE s SET a = 111 WHERE id = 11;
UPDATE s SET b = '121' WHERE id = 12;
UPDATE s SET a = 1, b = '2' WHERE id = 13;
UPDATE s SET a = 3, b = '003' WHERE id = 14;
SELECT * FROM s WHERE id > 10 ORDER BY id;
-- An unrelated change fills a row that was not backfilled, and leaves all others alone, lossy or not.
UPDATE s SET other = 'touched' WHERE id IN (1, 14);
SELECT * FROM s WHERE id IN (1, 2, 14) ORDER BY id;
-- An expression that fails never fails the write: the other side becomes NULL.
UPDATE s SET b = 'not a number' WHERE id = 12;
INSERT INTO s (id, b) VALUES (16, 'nor this');
SELECT * FROM s WHERE id IN (12, 16) ORDER BY id;
-- Not even in COPY, MERGE, ON CONFLICT, or for replicated writes
COPY s (id, a) FROM stdin;
17	170
\.
INSERT INTO s (id, a) VALUES (17, 0) ON CONFLICT (id) DO UPDATE SET b = '171';
MERGE INTO s USING (VALUES (17, 172), (18, 180)) AS m (id, a) ON s.id = m.id
    WHEN MATCHED THEN UPDATE SET a = m.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (m.id, m.a);
ALTER TABLE s ENABLE ALWAYS TRIGGER "~zdm_sync_1";
SET session_replication_role = replica;
INSERT INTO s (id, a) VALUES (19, 190);
RESET session_replication_role;
SELECT * FROM s WHERE id > 16 ORDER BY id;
-- A user's BEFORE trigger fires first.
CREATE FUNCTION add_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a := NEW.a + 1; RETURN NEW; END $$;
CREATE TRIGGER z_user BEFORE INSERT OR UPDATE ON s FOR EACH ROW EXECUTE FUNCTION add_one();
INSERT INTO s (id, a) VALUES (20, 200);
SELECT * FROM s WHERE id = 20;
DROP TRIGGER z_user ON s;
-- After cutover the new side is trusted.
DROP TRIGGER "~zdm_sync_1" ON s;
CREATE TRIGGER "~zdm_sync_1" BEFORE INSERT OR UPDATE ON s FOR EACH ROW
    EXECUTE FUNCTION zdm.sync('1', 'new', '', '1', 'a', '($2)::integer', '1', 'b', '($1)::text');
UPDATE s SET a = 5, b = '6' WHERE id = 13;
UPDATE s SET a = NULL, b = '7' WHERE id = 14;
INSERT INTO s (id, b) VALUES (21, 'too long for an integer');
SELECT * FROM s WHERE id IN (13, 14, 21) ORDER BY id;
-- A column that is gone, arguments that make no sense: the write goes on, with a warning once.
ALTER TABLE s RENAME b TO c;
INSERT INTO s (id, a) VALUES (30, 1);
INSERT INTO s (id, a) VALUES (31, 1);
DROP TRIGGER "~zdm_sync_1" ON s;
CREATE TRIGGER "~zdm_sync_1" BEFORE INSERT OR UPDATE ON s FOR EACH ROW EXECUTE FUNCTION zdm.sync('1', 'new');
INSERT INTO s (id, a) VALUES (32, 1);
SELECT * FROM s WHERE id >= 30 ORDER BY id;
-- What cannot be brought over is noted, once a subtransaction, for the migration in the trigger's name: from a trusted old
-- side, and above, where neither side could be filled. Without a table for notes (DROP EXTENSION is under way) the write
-- goes on all the same.
SELECT migration, relation::regclass, old_has_it, count(*) FROM zdm.unsynced_write GROUP BY 1, 2, 3 ORDER BY 1, 3;
CREATE TABLE noted (id integer, a integer, b text);
CREATE TRIGGER "~zdm_sync_71" BEFORE INSERT OR UPDATE ON noted FOR EACH ROW
    EXECUTE FUNCTION zdm.sync('1', 'old', '', '1', 'a', '', '1', 'b', '(100 / $1)::text');
BEGIN;
INSERT INTO noted VALUES (40, 0), (41, 0), (42, 4);
UPDATE noted SET a = 0 WHERE id = 42;
SAVEPOINT released;
INSERT INTO noted VALUES (43, 0);
RELEASE released;
SAVEPOINT taken_back;
INSERT INTO noted VALUES (44, 0);
ROLLBACK TO taken_back;
COMMIT;
SELECT migration, relation::regclass, old_has_it, count(*) FROM zdm.unsynced_write GROUP BY 1, 2, 3 ORDER BY 1, 3;
ALTER EXTENSION zdm DROP TABLE zdm.unsynced_write;
ALTER TABLE zdm.unsynced_write RENAME TO kept;
INSERT INTO noted VALUES (45, 0);
ALTER TABLE zdm.kept RENAME TO unsynced_write;
ALTER EXTENSION zdm ADD TABLE zdm.unsynced_write;
ALTER TABLE noted RENAME b TO c;
INSERT INTO noted VALUES (46, 1);
SELECT migration, relation::regclass, old_has_it, count(*) FROM zdm.unsynced_write GROUP BY 1, 2, 3 ORDER BY 1, 3;
SELECT * FROM noted ORDER BY id;
DROP TABLE noted;
-- Wrong uses
CREATE TRIGGER wrong AFTER INSERT ON s FOR EACH ROW EXECUTE FUNCTION zdm.sync();
INSERT INTO s (id) VALUES (33);
SELECT zdm.sync();
DROP TABLE s;
DROP FUNCTION add_one();
DROP EXTENSION zdm;
