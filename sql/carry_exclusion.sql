-- Exclusion constraints come along with a column that is renamed: the same table twice, one changed by zdm with a way
-- back in between, the other by plain DDL. They hold in every phase, and nothing tells the two apart in the end.
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
                     conexclop, obj_description(oid, 'pg_constraint'))
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
CALL zdm.wait('during', 'ready', 15);
CALL zdm.wait('room', 'ready', 15);
CALL zdm.wait('kept', 'ready', 15);
SELECT * FROM try_all();
SELECT zdm.cutover('during');
CALL zdm.wait('during', 'soak', 15);
SELECT * FROM try_all();
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'one.booking'::regclass AND contype = 'x' ORDER BY 1;
SELECT zdm.revert('during');
CALL zdm.wait('during', 'ready', 15);
SELECT * FROM try_all();
SELECT * FROM difference WHERE line !~ 'zdm_[0-9]+_' ORDER BY 1, 2;
SELECT zdm.cutover('room');
CALL zdm.wait('room', 'soak', 15);
SELECT zdm.cutover('during'), zdm.cutover('kept');
CALL zdm.wait('during', 'soak', 15);
CALL zdm.wait('kept', 'soak', 15);
SELECT * FROM try_all();
SELECT zdm.verify('during'), zdm.verify('room'), zdm.verify('kept');
SELECT zdm.contract('during'), zdm.contract('room'), zdm.contract('kept');
CALL zdm.wait('during', 'done', 15);
CALL zdm.wait('room', 'done', 15);
CALL zdm.wait('kept', 'done', 15);
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

-- abort leaves nothing; where values become others there is no short way.
SELECT zdm.rename_column('two.booking', 'at', 'again', name => 'again');
CALL zdm.wait('again', 'ready', 15);
SELECT zdm.abort('again');
CALL zdm.wait('again', 'aborted', 15);
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'two.booking'::regclass ORDER BY indexrelid::regclass::text;
SELECT zdm.change_type('two.booking', 'hall', 'bigint');
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, looks, try_all, try;
DROP EXTENSION zdm;
