-- Triggers, policies and publications of a column that is renamed: the same tables twice, one changed by zdm with a way
-- back in between, the other by plain DDL. Nothing tells them apart in the end; and while both names are there, triggers
-- fire for either.
CREATE EXTENSION zdm;
SET client_min_messages = error;
CREATE ROLE zdm_reader;
CREATE TABLE log (line text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO log VALUES (concat_ws(' ', TG_WHEN, TG_OP, TG_NAME)); RETURN NEW; END $$;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO zdm_reader', schema);
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    CREATE TABLE t (id integer, v integer, "to" text, w integer, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
    CREATE TABLE t2 (w integer, gone integer, id integer NOT NULL, "to" text, v integer);
    ALTER TABLE t2 DROP gone;
    ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (100) TO (200);
    INSERT INTO t SELECT g, g, 'm' || g, g FROM generate_series(1, 199) g;
    GRANT SELECT, UPDATE, INSERT ON t TO zdm_reader;
    CREATE TRIGGER a_before BEFORE UPDATE OF "to" ON t FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER b_both AFTER INSERT OR UPDATE OF w, "to" ON t FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER c_when AFTER UPDATE ON t FOR EACH ROW WHEN (NEW."to" IS DISTINCT FROM OLD."to") EXECUTE FUNCTION note();
    CREATE TRIGGER d_statement AFTER UPDATE OF "to" ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
    CREATE CONSTRAINT TRIGGER e_later AFTER UPDATE OF "to" ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW."to" <> 'x') EXECUTE FUNCTION note();
    CREATE TRIGGER f_off AFTER UPDATE OF "to", v ON t FOR EACH ROW EXECUTE FUNCTION note();
    ALTER TABLE t DISABLE TRIGGER f_off;
    ALTER TABLE t ENABLE ALWAYS TRIGGER c_when;
    COMMENT ON TRIGGER a_before ON t IS 'comes before';
    CREATE POLICY visible ON t FOR SELECT TO zdm_reader USING ("to" <> 'm3' AND EXISTS (SELECT FROM log l WHERE l.line <> t."to" OR true) OR v = 1);
    CREATE POLICY written ON t AS RESTRICTIVE USING ("to" IS NOT NULL) WITH CHECK (length("to") < 20);
    CREATE POLICY changed ON t FOR UPDATE USING (true);
    COMMENT ON POLICY written ON t IS 'not too long';
    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
    EXECUTE format('CREATE PUBLICATION %I FOR TABLE t (id, "to") WHERE ("to" <> ''m5'' AND id > 0) WITH (publish_via_partition_root, publish = ''insert'')', schema || '_listed');
    EXECUTE format('CREATE PUBLICATION %I FOR TABLE t1 (id, v, "to") WHERE ("to" <> ''m5''), t2 (id, "to") WITH (publish = ''insert'')', schema || '_part');
END $$;
INSERT INTO log VALUES ('begin');
GRANT SELECT ON log TO zdm_reader;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled, t.tgparentid <> 0, obj_description(t.oid, 'pg_trigger'))
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = schema::regnamespace AND NOT t.tgisinternal
    UNION ALL SELECT concat_ws(' ', 'trigger', t.tgname, t.tgrelid::regclass, d.deptype, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
     WHERE c.relnamespace = schema::regnamespace AND NOT t.tgisinternal AND d.refobjsubid > 0
    UNION ALL SELECT concat_ws(' ', policyname, permissive, roles, cmd, qual, with_check) FROM pg_policies WHERE schemaname = schema
    UNION ALL SELECT concat_ws(' ', p.polname, obj_description(p.oid, 'pg_policy')) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = schema::regnamespace
    UNION ALL SELECT concat_ws(' ', pubname, tablename, (SELECT array_agg(a ORDER BY a) FROM unnest(attnames) a), rowfilter) FROM pg_publication_tables WHERE schemaname = schema
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, regexp_replace(line, '\mone[._]', '', 'g') AS line FROM looks('one')
    EXCEPT SELECT 'one', regexp_replace(line, '\mtwo[._]', '', 'g') FROM looks('two')
    UNION ALL
    (SELECT 'two', regexp_replace(line, '\mtwo[._]', '', 'g') FROM looks('two')
     EXCEPT SELECT 'two', regexp_replace(line, '\mone[._]', '', 'g') FROM looks('one'));
TABLE difference;
-- What fires when one row's column is set by that name, in either partition.
CREATE FUNCTION fires(name text, id integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    TRUNCATE log;
    EXECUTE format('UPDATE one.t SET %I = %L WHERE id = %s', name, 'u' || clock_timestamp()::text, id);
    SET CONSTRAINTS ALL IMMEDIATE;
    SELECT string_agg(line, ', ' ORDER BY line) INTO result FROM log;
    EXECUTE format('UPDATE one.t SET %I = %L WHERE id = %s', name, 'm' || id, id);
    RETURN result;
END $$;
SELECT fires('to', 7), fires('to', 107);

SELECT zdm.rename_column('one.t', 'to', 'recipient', name => 'm');
CALL zdm.wait('m', 'ready', 60);
SELECT tgrelid::regclass, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid IN ('one.t'::regclass, 'one.t2'::regclass) AND tgname IN ('b_both', 'e_later') ORDER BY 1, 2;
SELECT fires('to', 7) = fires('to', 107), fires('recipient', 7) = fires('recipient', 107), fires('to', 7);
SELECT fires('recipient', 7);
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
SELECT fires('to', 7) = fires('to', 107), fires('recipient', 7) = fires('recipient', 107), fires('to', 7);
SELECT fires('recipient', 7);
SET ROLE zdm_reader;
SELECT count(*), count(*) FILTER (WHERE recipient = 'm3') FROM one.t;
UPDATE one.t SET recipient = repeat('long', 6) WHERE id = 9;
UPDATE one.t SET "to" = repeat('long', 6) WHERE id = 9;
RESET ROLE;
SELECT pubname, tablename, attnames, rowfilter FROM pg_publication_tables WHERE schemaname = 'one' ORDER BY 1, 2;
SELECT zdm.revert('m');
CALL zdm.wait('m', 'ready', 60);
SELECT fires('to', 7) = fires('to', 107), fires('recipient', 7) = fires('recipient', 107), fires('to', 7);
SELECT zdm.abort('m');
CALL zdm.wait('m', 'aborted', 60);
TABLE difference;
SELECT fires('to', 7);

-- Beside a change of another column that the same objects read.
SELECT zdm.rename_column('one.t', 'to', 'recipient', name => 'm'), zdm.change_type('one.t', 'v', 'bigint', name => 'v'), zdm.rename_column('one.t', 'w', 'weight', name => 'w');
CALL zdm.wait('m', 'ready', 60);
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('w', 'ready', 60);
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
SELECT zdm.cutover('v');
CALL zdm.wait('v', 'soak', 60);
SELECT zdm.cutover('w');
CALL zdm.wait('w', 'soak', 60);
SELECT fires('to', 7) = fires('to', 107), fires('recipient', 7) = fires('recipient', 107), fires('recipient', 7);
SELECT zdm.revert('m');
SELECT zdm.revert('w');
CALL zdm.wait('w', 'ready', 60);
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 60);
SELECT zdm.revert('m');
CALL zdm.wait('m', 'ready', 60);
SELECT fires('to', 7), fires('recipient', 107) = fires('recipient', 7);
SELECT zdm.cutover('v'), zdm.cutover('w');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('w', 'soak', 60);
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
SELECT zdm.contract('m'), zdm.contract('v'), zdm.contract('w');
CALL zdm.wait('m', 'done', 60);
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('w', 'done', 60);
ALTER TABLE two.t RENAME "to" TO recipient;
ALTER TABLE two.t RENAME w TO weight;
SELECT * FROM difference ORDER BY 1, 2;
SELECT fires('recipient', 7), fires('recipient', 107) = fires('recipient', 7);
DROP PUBLICATION one_listed, two_listed, one_part, two_part;
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, looks, fires, note;
DROP TABLE log;
DROP ROLE zdm_reader;
DROP EXTENSION zdm;
