-- Extended statistics on expressions come along: the same table twice, one changed by zdm with a way back in between,
-- the other by plain DDL. Nothing tells them apart in the end, nor does the planner.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
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
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', s.stxname, array_agg(DISTINCT k::text), array_agg(DISTINCT a.attname), pg_get_statisticsobjdef_expressions(s.oid),
                     obj_description(s.oid, 'pg_statistic_ext'))
      FROM pg_statistic_ext s CROSS JOIN unnest(s.stxkind) k
      LEFT JOIN pg_attribute a ON a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])
     WHERE s.stxnamespace = schema::regnamespace GROUP BY s.oid, s.stxname
    UNION ALL
    SELECT concat_ws(' ', statistics_name, expr, n_distinct) FROM pg_stats_ext_exprs WHERE schemaname = schema
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, line FROM looks('one') EXCEPT SELECT 'one', line FROM looks('two')
    UNION ALL
    (SELECT 'two', line FROM looks('two') EXCEPT SELECT 'two', line FROM looks('one'));

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'v'), zdm.rename_column('one.t', 'mail', 'email', name => 'mail');
CALL zdm.wait('v', 'ready', 15);
CALL zdm.wait('mail', 'ready', 15);
SELECT stxname, pg_get_statisticsobjdef_expressions(oid) FROM pg_statistic_ext WHERE stxrelid = 'one.t'::regclass ORDER BY 1;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 15);
CALL zdm.wait('mail', 'soak', 15);
-- Known at once, without an ANALYZE after cutover.
SELECT statistics_name, expr, n_distinct FROM pg_stats_ext_exprs WHERE schemaname = 'one' AND statistics_name IN ('alone', 'Odd name') ORDER BY 1, 2;
SELECT zdm.revert('mail');
CALL zdm.wait('mail', 'ready', 15);
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 15);
ANALYZE one.t, two.t;
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(new|old|1|2)_' ORDER BY 1, 2;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 15);
CALL zdm.wait('mail', 'soak', 15);
SELECT zdm.contract('v'), zdm.contract('mail');
CALL zdm.wait('v', 'done', 15);
CALL zdm.wait('mail', 'done', 15);
ALTER TABLE two.t ALTER v TYPE bigint;
ALTER TABLE two.t RENAME mail TO email;
ANALYZE one.t, two.t;
TABLE difference;
SELECT count(*) FROM looks('one');
SELECT stxname FROM pg_statistic_ext WHERE stxrelid = 'one.t'::regclass ORDER BY 1;

-- abort leaves none behind; an expression that the new type does not fit is refused by name.
SELECT zdm.change_type('one.t', 'v', 'numeric', name => 'again');
CALL zdm.wait('again', 'ready', 15);
SELECT zdm.abort('again');
CALL zdm.wait('again', 'aborted', 15);
SELECT stxname FROM pg_statistic_ext WHERE stxrelid = 'one.t'::regclass ORDER BY 1;
SELECT zdm.change_type('one.t', 'v', 'text');
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, looks;
DROP EXTENSION zdm;
