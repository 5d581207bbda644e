-- Extended statistics come along, on columns and expressions, in whatever schema and of whatever owner: the same table twice, one changed by zdm with a way back in between,
-- the other by plain DDL. Nothing tells them apart in the end, nor does the planner.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE ROLE regress_statistics;
CREATE FUNCTION owners(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER STATISTICS %I.alone OWNER TO regress_statistics', name || ' elsewhere');
    EXECUTE format('ALTER STATISTICS %I.two OWNER TO regress_statistics', name);
    EXECUTE format('ALTER STATISTICS %I.alone SET STATISTICS 200', name || ' elsewhere');
    EXECUTE format('ALTER STATISTICS %I.two SET STATISTICS 300', name);
END $$;
CREATE FUNCTION build(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', name);
    EXECUTE format('SET LOCAL search_path = %I, public', name);
    CREATE TABLE t (id integer PRIMARY KEY, v integer, w integer, mail text);
    INSERT INTO t SELECT g, g % 100, g % 50, 'P' || g % 20 FROM generate_series(1, 2000) g;
    CREATE STATISTICS alone ON (v % 10) FROM t;
    CREATE STATISTICS two (ndistinct, mcv) ON w, (v % 10), (v + w) FROM t;
    CREATE STATISTICS "Odd name" (dependencies) ON (lower(mail)), (length(mail)), w FROM t;
    COMMENT ON STATISTICS alone IS 'of one expression';
    EXECUTE format('CREATE SCHEMA %I', name || ' elsewhere');
    EXECUTE format('CREATE STATISTICS %I.alone (mcv) ON v, w FROM t', name || ' elsewhere');
    EXECUTE format('COMMENT ON STATISTICS %I.alone IS %L', name || ' elsewhere', 'of two columns');
    EXECUTE format('CREATE STATISTICS %I.s ON mail, v FROM t', name || ' elsewhere');
    PERFORM owners(name);
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', s.stxname, array_agg(DISTINCT k::text), array_agg(DISTINCT a.attname), pg_get_statisticsobjdef_expressions(s.oid),
                     obj_description(s.oid, 'pg_statistic_ext'), replace(n.nspname, schema, ''), pg_get_userbyid(s.stxowner),
                     to_jsonb(s) ->> 'stxstattarget',
                     (SELECT string_agg(concat_ws(' ', d.deptype, replace(pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), schema, '')), ', '
                                        ORDER BY pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
                        FROM pg_depend d WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid),
                     (SELECT string_agg(d.refobjid::regrole::text, ', ') FROM pg_shdepend d WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid))
      FROM pg_statistic_ext s CROSS JOIN unnest(s.stxkind) k JOIN pg_namespace n ON n.oid = s.stxnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])
     WHERE s.stxrelid = (schema || '.t')::regclass GROUP BY s.oid, n.nspname
    UNION ALL
    SELECT concat_ws(' ', statistics_name, expr, n_distinct) FROM pg_stats_ext_exprs WHERE schemaname = schema
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, line FROM looks('one') EXCEPT SELECT 'one', line FROM looks('two')
    UNION ALL
    (SELECT 'two', line FROM looks('two') EXCEPT SELECT 'two', line FROM looks('one'));

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'v'), zdm.rename_column('one.t', 'mail', 'email', name => 'mail');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
SELECT stxname, pg_get_statisticsobjdef_expressions(oid) FROM pg_statistic_ext WHERE stxrelid = 'one.t'::regclass ORDER BY 1, 2;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
-- Known at once, without an ANALYZE after cutover.
SELECT statistics_name, expr, n_distinct FROM pg_stats_ext_exprs WHERE schemaname = 'one' AND statistics_name IN ('alone', 'Odd name') ORDER BY 1, 2;
SELECT zdm.revert('mail');
CALL zdm.wait('mail', 'ready', 60);
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 60);
ANALYZE one.t, two.t;
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(new|old|1|2)_' ORDER BY 1, 2;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
SELECT zdm.contract('v'), zdm.contract('mail');
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('mail', 'done', 60);
ALTER TABLE two.t ALTER v TYPE bigint;
ALTER TABLE two.t RENAME mail TO email;
SELECT owners('two');  -- which ALTER TYPE may forget
ANALYZE one.t, two.t;
TABLE difference;
SELECT count(*) FROM looks('one');
SELECT stxname FROM pg_statistic_ext WHERE stxrelid = 'one.t'::regclass ORDER BY 1;

-- abort leaves none behind; an expression that the new type does not fit is refused by name.
SELECT zdm.change_type('one.t', 'v', 'numeric', name => 'again');
CALL zdm.wait('again', 'ready', 60);
SELECT zdm.abort('again');
CALL zdm.wait('again', 'aborted', 60);
SELECT stxname FROM pg_statistic_ext WHERE stxrelid = 'one.t'::regclass ORDER BY 1;
SELECT zdm.change_type('one.t', 'v', 'text');
DROP VIEW difference;
DROP SCHEMA one, two, "one elsewhere", "two elsewhere" CASCADE;
DROP FUNCTION build, looks, owners;
DROP ROLE regress_statistics;

-- Its owner may have no right on that schema, nor is he given one.
CREATE ROLE regress_owner;
CREATE SCHEMA own AUTHORIZATION regress_owner;
CREATE SCHEMA elsewhere;
CREATE TABLE own.t (v integer, w integer);
CREATE STATISTICS elsewhere.s ON v, w FROM own.t;
ALTER TABLE own.t OWNER TO regress_owner;
SET ROLE regress_owner;
SELECT zdm.change_type('own.t', 'v', 'bigint', name => 'v');
SELECT zdm.cutover('v');
CALL zdm.wait('v', 'soak', 60);
RESET ROLE;
SELECT format('%I.%I', n.nspname, stxname), stxowner = (SELECT oid FROM pg_roles WHERE rolname = 'regress_owner') AS is_the_tables_owners, pg_get_statisticsobjdef(s.oid)
  FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = stxnamespace ORDER BY 1;
SET ROLE regress_owner;
DROP STATISTICS elsewhere.s;
SELECT zdm.contract('v');
CALL zdm.wait('v', 'done', 60);
RESET ROLE;
SELECT format('%I.%I', n.nspname, stxname) FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = stxnamespace;
-- Dropped in soak: said before anything is taken back.
ALTER STATISTICS elsewhere.s RENAME TO other;
SELECT zdm.change_type('own.t', 'v', 'numeric', name => 'v');
SELECT zdm.cutover('v');
CALL zdm.wait('v', 'soak', 60);
DROP STATISTICS elsewhere.other;
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 60);
CREATE STATISTICS elsewhere.other ON v, w FROM own.t;
SELECT zdm.resume('v');
CALL zdm.wait('v', 'ready', 60);
SELECT zdm.abort('v');
CALL zdm.wait('v', 'aborted', 60);
SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext;
DROP SCHEMA own, elsewhere CASCADE;
DROP ROLE regress_owner;
DROP EXTENSION zdm;
