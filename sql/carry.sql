-- What hangs on a column, all at once: the same table twice, one changed by zdm with a way back in between, the other
-- by plain DDL. Nothing tells them apart in the end.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE ROLE zdm_reader;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION build(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', name);
    EXECUTE format('SET LOCAL search_path = %I, public', name);
    CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5) PRIMARY KEY, v integer NOT NULL, w integer);
    INSERT INTO t (v, w) SELECT g, g FROM generate_series(1, 500) g;
    COMMENT ON SEQUENCE t_id_seq IS 'numbers';
    ALTER TABLE t ALTER v SET STATISTICS 333, ALTER v SET (n_distinct = -0.5);
    GRANT SELECT (v), UPDATE (v) ON t TO zdm_reader;
    GRANT SELECT (v) ON t TO PUBLIC;
    CREATE UNIQUE INDEX t_v ON t (v);
    ALTER TABLE t CLUSTER ON t_pkey;
    ALTER TABLE t REPLICA IDENTITY USING INDEX t_v;
    CREATE TRIGGER of_column BEFORE UPDATE OF v ON t FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TRIGGER when_large AFTER INSERT ON t FOR EACH ROW WHEN (NEW.v > 5) EXECUTE FUNCTION note();
    COMMENT ON TRIGGER when_large ON t IS 'large';
    ALTER TABLE t DISABLE TRIGGER when_large;
    CREATE CONSTRAINT TRIGGER later AFTER UPDATE OF v ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
    ALTER TABLE t ENABLE ALWAYS TRIGGER later;
    CREATE STATISTICS together (ndistinct, mcv) ON v, w FROM t;
    ALTER STATISTICS together SET STATISTICS 50;
    COMMENT ON STATISTICS together IS 'together';
    CREATE POLICY visible ON t FOR SELECT TO zdm_reader USING (v > 3);
    CREATE POLICY strict ON t AS RESTRICTIVE USING (v IS NOT NULL) WITH CHECK (v > 0);
    COMMENT ON POLICY strict ON t IS 'strict';
    ALTER TABLE t ENABLE ROW LEVEL SECURITY;
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attstattarget, a.attstorage,
                     (SELECT string_agg(o.option_name || '=' || o.option_value, ',') FROM pg_options_to_table(a.attoptions) o WHERE o.option_name <> 'pg_attver'),
                     (SELECT string_agg(g.grantee::regrole || ' ' || g.privilege_type, ',' ORDER BY g.grantee, g.privilege_type) FROM aclexplode(a.attacl) g))
      FROM pg_attribute a WHERE a.attrelid = (schema || '.t')::regclass AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT concat_ws(' ', pg_get_triggerdef(oid), tgenabled, obj_description(oid, 'pg_trigger')) FROM pg_trigger WHERE tgrelid = (schema || '.t')::regclass AND NOT tgisinternal
    UNION ALL SELECT concat_ws(' ', policyname, permissive, roles, cmd, qual, with_check) FROM pg_policies WHERE schemaname = schema
    UNION ALL SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisunique, indisprimary, indisclustered, indisreplident) FROM pg_index WHERE indrelid = (schema || '.t')::regclass
    UNION ALL SELECT concat_ws(' ', a.attrelid::regclass, a.attnum, a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indexrelid WHERE i.indrelid = (schema || '.t')::regclass
    UNION ALL SELECT concat_ws(' ', s.statistics_name, (SELECT array_agg(c ORDER BY c) FROM unnest(s.attnames) c), s.kinds) FROM pg_stats_ext s WHERE s.schemaname = schema
    UNION ALL SELECT concat_ws(' ', sequencename, data_type, start_value, min_value, max_value, increment_by, cycle, cache_size, last_value, obj_description((schema || '.' || sequencename)::regclass, 'pg_class')) FROM pg_sequences WHERE schemaname = schema
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, replace(line, 'one.', '') AS line FROM looks('one')
    EXCEPT SELECT 'one', replace(line, 'two.', '') FROM looks('two')
    UNION ALL
    (SELECT 'two', replace(line, 'two.', '') FROM looks('two')
     EXCEPT SELECT 'two', replace(line, 'one.', '') FROM looks('one'));
TABLE difference;

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'v'), zdm.change_type('one.t', 'id', 'bigint', name => 'id');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('id', 'ready', 60);
INSERT INTO one.t (v, w) VALUES (501, 1) RETURNING id;
SELECT zdm.cutover('v'), zdm.cutover('id');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('id', 'soak', 60);
INSERT INTO one.t (v, w) VALUES (502, 1) RETURNING id, zdm_old_id, v, zdm_old_v;
SELECT count(*) AS filled FROM pg_stats_ext WHERE schemaname = 'one' AND statistics_name = 'together' AND n_distinct IS NOT NULL;
SELECT column_name, privilege_type, grantee FROM information_schema.column_privileges
 WHERE table_schema = 'one' AND grantee IN ('zdm_reader', 'PUBLIC') ORDER BY 1, 2, 3;
SELECT zdm.revert('v'), zdm.revert('id');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('id', 'ready', 60);
INSERT INTO one.t (v, w) VALUES (503, 1) RETURNING id;
INSERT INTO two.t (v, w) VALUES (501, 1), (502, 1), (503, 1);
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(new|1|2)_|zdm_sync' ORDER BY 1, 2;
SELECT zdm.verify('v'), zdm.verify('id');
SELECT zdm.cutover('v'), zdm.cutover('id');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('id', 'soak', 60);
SELECT zdm.contract('v'), zdm.contract('id');
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('id', 'done', 60);
INSERT INTO one.t (v, w) VALUES (504, 1) RETURNING id;
INSERT INTO two.t (v, w) VALUES (504, 1) RETURNING id;
-- The server itself refuses under triggers and policies.
BEGIN;
SET LOCAL search_path = two, public;
DROP TRIGGER of_column ON t;
DROP TRIGGER when_large ON t;
DROP TRIGGER later ON t;
DROP POLICY visible ON t;
DROP POLICY strict ON t;
ALTER TABLE t ALTER v TYPE bigint, ALTER id TYPE bigint;
CREATE TRIGGER of_column BEFORE UPDATE OF v ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER when_large AFTER INSERT ON t FOR EACH ROW WHEN (NEW.v > 5) EXECUTE FUNCTION note();
COMMENT ON TRIGGER when_large ON t IS 'large';
ALTER TABLE t DISABLE TRIGGER when_large;
CREATE CONSTRAINT TRIGGER later AFTER UPDATE OF v ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE t ENABLE ALWAYS TRIGGER later;
CREATE POLICY visible ON t FOR SELECT TO zdm_reader USING (v > 3);
CREATE POLICY strict ON t AS RESTRICTIVE USING (v IS NOT NULL) WITH CHECK (v > 0);
COMMIT;
-- Plain DDL loses the target of statistics; we do not.
SELECT stxname, obj_description(oid, 'pg_statistic_ext') FROM pg_statistic_ext WHERE stxrelid = 'one.t'::regclass AND (to_jsonb(pg_statistic_ext) ->> 'stxstattarget')::integer = 50;
ANALYZE one.t, two.t;
TABLE difference;
-- Deferrable keys: a transaction may hold duplicates for a moment, in every phase; none at its end.
CREATE TABLE seat (id integer, number integer, CONSTRAINT seat_key PRIMARY KEY (id) DEFERRABLE,
                   CONSTRAINT seat_once UNIQUE (number) DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION swap_seats() RETURNS void LANGUAGE sql AS 'UPDATE seat SET id = 3 - id, number = 30 - number WHERE id < 3';
INSERT INTO seat SELECT g, 10 * g FROM generate_series(1, 100) g;
SELECT zdm.change_type('seat', 'number', 'bigint', name => 'number'), zdm.rename_column('seat', 'id', 'place', name => 'place');
CALL zdm.wait('number', 'ready', 60);
CALL zdm.wait('place', 'ready', 60);
SELECT swap_seats();
INSERT INTO seat (id, number) VALUES (101, 50);
INSERT INTO seat (id, number) VALUES (5, 5000);
SELECT zdm.cutover('number');
CALL zdm.wait('number', 'soak', 60);
SELECT swap_seats();
INSERT INTO seat (id, number) VALUES (101, 50);
SELECT zdm.revert('number');
CALL zdm.wait('number', 'ready', 60);
SELECT swap_seats();
SELECT zdm.cutover('number'), zdm.cutover('place');
CALL zdm.wait('number', 'soak', 60);
CALL zdm.wait('place', 'soak', 60);
SELECT swap_seats();
INSERT INTO seat (place, number) VALUES (101, 50);
INSERT INTO seat (place, number) VALUES (5, 5000);
SELECT zdm.contract('number'), zdm.contract('place');
CALL zdm.wait('number', 'done', 60);
CALL zdm.wait('place', 'done', 60);
UPDATE seat SET place = 3 - place, number = 30 - number WHERE place < 3;
INSERT INTO seat (place, number) VALUES (101, 50);
SELECT * FROM seat WHERE place < 3 ORDER BY place;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'seat'::regclass AND contype <> 'n' ORDER BY conname;
SELECT indexrelid::regclass, indisunique, indimmediate FROM pg_index WHERE indrelid = 'seat'::regclass ORDER BY indexrelid::regclass::text;
DROP FUNCTION swap_seats;
DROP TABLE seat;
-- Publications that name the column, in a list or in a filter; and status says what a subscriber needs.
CREATE ROLE zdm_publisher;
CREATE TABLE paper (id integer PRIMARY KEY, v integer, w text);
INSERT INTO paper SELECT g, g FROM generate_series(1, 100) g;
SET client_min_messages = error;
CREATE PUBLICATION listed FOR TABLE paper (id, v);
CREATE PUBLICATION filtered FOR TABLE paper WHERE (v > 10 AND id > 0) WITH (publish = 'insert');
SET client_min_messages = warning;
CREATE VIEW published AS SELECT pubname, tablename, attnames, rowfilter FROM pg_publication_tables WHERE tablename = 'paper' ORDER BY pubname;
SELECT zdm.change_type('paper', 'v', 'bigint', name => 'paper');
CALL zdm.wait('paper', 'ready', 60);
SELECT message, next_action FROM zdm.status WHERE name = 'paper';
TABLE published;
SELECT zdm.cutover('paper');
CALL zdm.wait('paper', 'soak', 60);
TABLE published;
SELECT a.attname, r.prpubid = p.oid AS listed FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
  JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[]) WHERE p.pubname = 'listed' ORDER BY 1;
SELECT zdm.revert('paper');
CALL zdm.wait('paper', 'ready', 60);
SELECT zdm.cutover('paper');
CALL zdm.wait('paper', 'soak', 60);
SELECT zdm.contract('paper');
CALL zdm.wait('paper', 'done', 60);
TABLE published;
SELECT message FROM zdm.status WHERE name = 'paper';
-- Not the owner of the table: it is not zdm that changes another's publication.
GRANT CREATE ON SCHEMA public TO zdm_publisher;
ALTER TABLE paper OWNER TO zdm_publisher;
SELECT zdm.change_type('paper', 'v', 'numeric');
DROP VIEW published;
DROP PUBLICATION listed, filtered;
DROP TABLE paper;
REVOKE CREATE ON SCHEMA public FROM zdm_publisher;
DROP ROLE zdm_publisher;
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, looks, note;
DROP ROLE zdm_reader;
DROP EXTENSION zdm;
