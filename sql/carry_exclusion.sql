-- Exclusion constraints come along, built online: the same table twice, one changed by zdm with a way back in between,
-- the other by plain DDL. They hold in every phase, and nothing tells the two apart in the end. First at a rename.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE FUNCTION build(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', name);
    EXECUTE format('SET LOCAL search_path = %I, public', name);
    CREATE TABLE booking (
        id integer PRIMARY KEY, room integer, during int4range, place box, kept boolean DEFAULT true,
        CONSTRAINT once EXCLUDE USING gist (int4range(room, room, '[]') WITH &&, during WITH &&) WHERE (kept),
        CONSTRAINT apart EXCLUDE USING gist (place WITH &&, during WITH &&) WITH (fillfactor = 70) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT same EXCLUDE USING hash (during WITH =) WHERE (NOT isempty(during)) DEFERRABLE);
    INSERT INTO booking SELECT g, g % 10, int4range(g * 10, g * 10 + 9), box(point(20 * g, 0), point(20 * g + 3, 3)) FROM generate_series(1, 500) g;
    COMMENT ON CONSTRAINT once ON booking IS 'nobody twice';
    COMMENT ON INDEX apart IS 'how it is kept';
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', conname, contype, pg_get_constraintdef(oid), condeferrable, condeferred, convalidated, conislocal, coninhcount, connoinherit,
                     conexclop::regoper[], obj_description(oid, 'pg_constraint'))
      FROM pg_constraint WHERE connamespace = schema::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisunique, indisexclusion, indimmediate, indisvalid, indclass, indcollation, indoption,
                     obj_description(indexrelid, 'pg_class'))
      FROM pg_index WHERE indrelid = (schema || '.booking')::regclass
    UNION ALL
    SELECT concat_ws(' ', a.attrelid::regclass, a.attnum, a.atttypid::regtype)
      FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid WHERE i.indrelid = (schema || '.booking')::regclass
    UNION ALL
    SELECT concat_ws(' ', 'trigger', k.conname, t.tgfoid::regproc, t.tgtype, t.tgdeferrable, t.tginitdeferred, t.tgenabled)
      FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint WHERE t.tgrelid = (schema || '.booking')::regclass
    UNION ALL
    SELECT concat_ws(' ', 'depends', d.classid::regclass, coalesce(k.conname, d.objid::regclass::text), d.deptype, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
      FROM pg_depend d LEFT JOIN pg_constraint k ON k.oid = d.objid AND d.classid = 'pg_constraint'::regclass
     WHERE (k.connamespace = schema::regnamespace AND k.contype <> 'n')
        OR (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT indexrelid FROM pg_index WHERE indrelid = (schema || '.booking')::regclass))
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, replace(line, 'one.', '') AS line FROM looks('one')
    EXCEPT SELECT 'one', replace(line, 'two.', '') FROM looks('two')
    UNION ALL
    (SELECT 'two', replace(line, 'two.', '') FROM looks('two')
     EXCEPT SELECT 'two', replace(line, 'one.', '') FROM looks('one'));
TABLE difference;
-- Whoever comes second is refused, at once or at the end of the transaction.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
    RETURN 'taken';
EXCEPTION WHEN exclusion_violation THEN
    RETURN SQLERRM;
END $$;
CREATE FUNCTION try_all() RETURNS TABLE (what text, result text) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL search_path = one, public;
    what := 'room'; result := try($q$INSERT INTO booking VALUES (1001, 1, '[11,13)', NULL)$q$); RETURN NEXT;
    what := 'not kept'; result := try($q$INSERT INTO booking VALUES (1002, 1, '[12,13)', NULL, false)$q$); RETURN NEXT;
    what := 'place'; result := try($q$INSERT INTO booking VALUES (1003, NULL, '[15,17)', '(21,1),(22,2)', false)$q$); RETURN NEXT;
    what := 'same'; result := try($q$INSERT INTO booking VALUES (1004, NULL, '[20,29)', NULL, false)$q$); RETURN NEXT;
    what := 'for a moment'; result := try($q$INSERT INTO booking VALUES (1006, NULL, '[15,17)', '(21,1),(22,2)', false);
                                             UPDATE booking SET place = NULL WHERE id = 1006$q$); RETURN NEXT;
    what := 'nothing'; result := try($q$INSERT INTO booking VALUES (1005, 1, '[11,13)', NULL) ON CONFLICT ON CONSTRAINT once DO NOTHING$q$); RETURN NEXT;
    DELETE FROM booking WHERE id > 1000;
END $$;
SELECT * FROM try_all();

-- Each of the three columns, and all at once.
SELECT zdm.rename_column('one.booking', 'during', 'at', name => 'during'), zdm.rename_column('one.booking', 'room', 'hall', name => 'room'),
       zdm.rename_column('one.booking', 'kept', 'valid', name => 'kept');
CALL zdm.wait('during', 'ready', 60);
CALL zdm.wait('room', 'ready', 60);
CALL zdm.wait('kept', 'ready', 60);
SELECT * FROM try_all();
SELECT zdm.cutover('during');
CALL zdm.wait('during', 'soak', 60);
SELECT * FROM try_all();
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'one.booking'::regclass AND contype = 'x' ORDER BY 1;
SELECT zdm.revert('during');
CALL zdm.wait('during', 'ready', 60);
SELECT * FROM try_all();
SELECT * FROM difference WHERE line !~ 'zdm_[0-9]+_' ORDER BY 1, 2;
SELECT zdm.cutover('room');
CALL zdm.wait('room', 'soak', 60);
SELECT zdm.cutover('during'), zdm.cutover('kept');
CALL zdm.wait('during', 'soak', 60);
CALL zdm.wait('kept', 'soak', 60);
SELECT * FROM try_all();
SELECT zdm.verify('during'), zdm.verify('room'), zdm.verify('kept');
SELECT zdm.contract('during'), zdm.contract('room'), zdm.contract('kept');
CALL zdm.wait('during', 'done', 60);
CALL zdm.wait('room', 'done', 60);
CALL zdm.wait('kept', 'done', 60);
ALTER TABLE two.booking RENAME during TO at;
ALTER TABLE two.booking RENAME room TO hall;
ALTER TABLE two.booking RENAME kept TO valid;
SELECT * FROM difference ORDER BY 1, 2;
SELECT count(*) FROM looks('one');
-- An index that has been plain for a while has missed nothing.
SET enable_seqscan = off;
SELECT count(*) FROM one.booking WHERE at && '[1,5000)' AND int4range(hall, hall, '[]') && '[0,4]' AND valid;
RESET enable_seqscan;
INSERT INTO one.booking (id, hall, at) VALUES (1001, 1, '[11,13)');
-- Dropped as any other is.
ALTER TABLE one.booking DROP CONSTRAINT once;
SELECT count(*) FROM pg_class WHERE relname = 'once' AND relnamespace = 'one'::regnamespace;

-- abort leaves nothing.
SELECT zdm.rename_column('two.booking', 'at', 'again', name => 'again');
CALL zdm.wait('again', 'ready', 60);
SELECT zdm.abort('again');
CALL zdm.wait('again', 'aborted', 60);
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'two.booking'::regclass ORDER BY indexrelid::regclass::text;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, try_all;

-- Another type: rows are compared in phase build; the constraint on the new column counts from just before cutover on.
CREATE FUNCTION build(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', name);
    EXECUTE format('SET LOCAL search_path = %I, public', name);
    CREATE TABLE booking (
        id integer PRIMARY KEY, room integer, slot integer, during int8range,
        CONSTRAINT once EXCLUDE USING btree (room WITH =, slot WITH =) DEFERRABLE,
        CONSTRAINT hashed EXCLUDE USING hash (room WITH =) WHERE (slot < 0),
        CONSTRAINT apart EXCLUDE USING gist (int8range(room, room, '[]') WITH &&, during WITH &&));
    INSERT INTO booking SELECT g, g % 10, g, int8range(g * 10, g * 10 + 9) FROM generate_series(1, 500) g;
    COMMENT ON CONSTRAINT apart ON booking IS 'nobody twice';
END $$;
SELECT build('one'), build('two');
TABLE difference;
CREATE FUNCTION try_all() RETURNS TABLE (what text, result text) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL search_path = one, public;
    what := 'once'; result := try($q$INSERT INTO booking (id, room, slot, during) VALUES (1001, 1, 1, NULL)$q$); RETURN NEXT;
    what := 'hashed'; result := try($q$INSERT INTO booking (id, room, slot, during) VALUES (1002, 1, -1, 'empty'), (1003, 1, -2, 'empty')$q$); RETURN NEXT;
    what := 'apart'; result := try($q$INSERT INTO booking (id, room, slot, during) VALUES (1004, 1, 1004, '[12,13)')$q$); RETURN NEXT;
    what := 'free'; result := try($q$INSERT INTO booking (id, room, slot, during) VALUES (1005, 1, 1005, '[5,6)')$q$); RETURN NEXT;
    what := 'for a moment'; result := try($q$SET CONSTRAINTS ALL DEFERRED; INSERT INTO booking (id, room, slot, during) VALUES (1006, 1, 1, '[6,7)'); UPDATE booking SET slot = 1006 WHERE id = 1006$q$); RETURN NEXT;
    DELETE FROM booking WHERE id > 1000;
END $$;
SELECT * FROM try_all();
SELECT zdm.change_type('one.booking', 'room', 'bigint', name => 'room');
CALL zdm.wait('room', 'ready', 60);
SELECT kind, object, lock_mode FROM zdm.step WHERE name = 'room' AND (kind LIKE '%exclusion' OR kind = 'create_index') AND object ~ '^zdm_\d+_new_(once|apart|hashed)$'
   AND migration = (SELECT max(id) FROM zdm.migration) ORDER BY ordinal;
SELECT * FROM try_all();
SELECT zdm.cutover('room');
CALL zdm.wait('room', 'soak', 60);
SELECT * FROM try_all();
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'one.booking'::regclass AND contype = 'x' ORDER BY 1;
INSERT INTO one.booking (id, room, slot) VALUES (601, 3000000000, 601);
INSERT INTO one.booking (id, room, slot) VALUES (602, 3000000000, 601);
DELETE FROM one.booking WHERE id = 601;
SELECT zdm.revert('room');
CALL zdm.wait('room', 'ready', 60);
SELECT * FROM try_all();
SELECT * FROM difference WHERE line !~ 'zdm_(new|[0-9]+)_' ORDER BY 1, 2;
SELECT zdm.cutover('room');
CALL zdm.wait('room', 'soak', 60);
SELECT zdm.contract('room');
CALL zdm.wait('room', 'done', 60);
ALTER TABLE two.booking ALTER room TYPE bigint;
SELECT * FROM difference ORDER BY 1, 2;
SELECT count(*) FROM looks('one');
SELECT * FROM try_all();
SET enable_seqscan = off;
SELECT count(*) FROM one.booking WHERE int8range(room, room, '[]') && '[0,4]' AND during && '[1,50000)';
RESET enable_seqscan;
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, looks, try_all, try;

-- Rows that exclude each other by the new values, and in soak by the old ones: told, and nothing taken over.
CREATE TABLE t (id integer PRIMARY KEY, v integer, CONSTRAINT once EXCLUDE USING btree (v WITH =));
INSERT INTO t SELECT g, 10 * g FROM generate_series(1, 100) g;
INSERT INTO t VALUES (101, 11), (102, 22);
SELECT zdm.change_type('t', 'v', 'numeric', forward => 'v / 10', reverse => 'v * 10', name => 't');
CALL zdm.wait('t', 'ready', 60);
SELECT key, actual_value FROM zdm.discrepancy WHERE name = 't' AND resolved_at IS NULL ORDER BY key->>'id';
UPDATE t SET v = v + 5000 WHERE id > 100;
SELECT zdm.resume('t');
CALL zdm.wait('t', 'ready', 60);
-- So they are told that are written later, when a cutover is called for.
INSERT INTO t VALUES (104, 33);
SELECT zdm.cutover('t');
CALL zdm.wait('t', 'soak', 60);
SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'x' ORDER BY 1;
DELETE FROM t WHERE id = 104;
SELECT zdm.resume('t');
CALL zdm.wait('t', 'soak', 60);
SELECT zdm.revert('t');
CALL zdm.wait('t', 'ready', 60);
SELECT zdm.abort('t');
CALL zdm.wait('t', 'aborted', 60);
\d t
SELECT zdm.change_type('t', 'v', 'numeric', name => 't');
SELECT zdm.cutover('t');
CALL zdm.wait('t', 'soak', 60);
INSERT INTO t (id, v) VALUES (103, 0.6), (104, 1.4);
INSERT INTO t (id, v) VALUES (105, 1.4);
SELECT v, zdm_old_v FROM t WHERE id IN (103, 104) ORDER BY id;
SELECT zdm.revert('t');
CALL zdm.wait('t', 'ready', 60);
SELECT key, actual_value FROM zdm.discrepancy WHERE name = 't' AND resolved_at IS NULL;
-- Meanwhile the application goes on, and nothing of the old side stands in its way.
INSERT INTO t (id, v) VALUES (105, 1.3);
SELECT conname FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'x';
DELETE FROM t WHERE id > 103;
SELECT zdm.resume('t');
CALL zdm.wait('t', 'ready', 60);
\d t
INSERT INTO t (id, v) VALUES (106, 1);
SELECT zdm.abort('t');
CALL zdm.wait('t', 'aborted', 60);
DROP TABLE t;

-- What has no counterpart is refused by name.
CREATE TABLE t (v integer, r int4range, EXCLUDE USING gist (r WITH &&), CONSTRAINT near EXCLUDE USING gist (int4range(v, v) WITH &&));
SELECT zdm.change_type('t', 'v', 'bigint');
SELECT zdm.change_type('t', 'r', 'text');
SELECT zdm.change_type('t', 'r', 'point', forward => 'point(lower(r), upper(r))');
-- Which rows they were that the messages count.
SELECT name, key FROM zdm.discrepancy ORDER BY name, found_at;
DROP TABLE t;
DROP EXTENSION zdm;
