-- Materialized views go with the column that they read: built and filled beforehand, exchanged by name at cutover. The
-- same schema twice, one changed by zdm with a way back in between, the other by hand.
CREATE EXTENSION zdm;
CREATE ROLE zdm_reader;
CREATE FUNCTION make_views() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE MATERIALIZED VIEW sums WITH (fillfactor = 70) AS SELECT k, sum(v) AS total, max(v) AS most FROM t GROUP BY k;
    CREATE UNIQUE INDEX sums_k ON sums (k);
    CREATE INDEX "By Most" ON sums (most DESC, (total + 1)) INCLUDE (k) WHERE most > 0;
    ALTER MATERIALIZED VIEW sums CLUSTER ON sums_k;
    ALTER MATERIALIZED VIEW sums ALTER total SET STATISTICS 500;
    COMMENT ON MATERIALIZED VIEW sums IS 'sums'; COMMENT ON COLUMN sums.most IS 'the most'; COMMENT ON INDEX sums_k IS 'key';
    GRANT SELECT ON sums TO zdm_reader; GRANT SELECT (k) ON sums TO PUBLIC;
    CREATE MATERIALIZED VIEW empty AS SELECT x.a, x.c FROM t AS x(a, b, c) WITH NO DATA;
END $$;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    CREATE TABLE t (id integer PRIMARY KEY, k integer, v integer);
    INSERT INTO t SELECT g, g % 10, g FROM generate_series(1, 100) g;
    PERFORM make_views();
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', c.relname, c.relkind, c.relowner::regrole, c.reloptions, c.relacl, c.relispopulated, obj_description(c.oid),
                     CASE c.relkind WHEN 'm' THEN pg_get_viewdef(c.oid) WHEN 'i' THEN pg_get_indexdef(c.oid) END)
      FROM pg_class c WHERE c.relnamespace = schema::regnamespace AND c.relkind IN ('r', 'm', 'i')
    UNION ALL
    SELECT concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attacl, a.attstattarget, col_description(c.oid, a.attnum))
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = schema::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'm')
    UNION ALL
    SELECT concat_ws(' ', c.relname, i.indisclustered, i.indisunique) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relnamespace = schema::regnamespace
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, replace(line, 'one.', '') AS line FROM looks('one')
    EXCEPT SELECT 'one', replace(line, 'two.', '') FROM looks('two')
    UNION ALL
    (SELECT 'two', replace(line, 'two.', '') FROM looks('two')
     EXCEPT SELECT 'two', replace(line, 'one.', '') FROM looks('one'));
SELECT * FROM difference;

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'wide');
CALL zdm.wait('wide', 'ready', 60);
SELECT only_in, replace(line, 'x.', '') AS line FROM difference WHERE line !~ 'zdm_' ORDER BY 1, 2;
-- Refreshed since: what comes is not older than that.
UPDATE one.t SET v = v + 1000 WHERE id = 1;
REFRESH MATERIALIZED VIEW one.sums;
CREATE TABLE before AS SELECT * FROM one.sums;
SELECT zdm.cutover('wide');
CALL zdm.wait('wide', 'soak', 60);
SELECT count(*) FROM (SELECT * FROM before EXCEPT SELECT * FROM one.sums) AS s;
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'one.sums'::regclass AND attnum > 0 ORDER BY attnum;
BEGIN;
SET LOCAL search_path = two, public;
DROP MATERIALIZED VIEW sums, empty;
ALTER TABLE t ALTER v TYPE bigint;
SELECT make_views();
COMMIT;
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(old|new|sync|[0-9])|empty' ORDER BY 1, 2;
UPDATE one.t SET v = 3000000000 WHERE id = 2;
REFRESH MATERIALIZED VIEW CONCURRENTLY one.sums;
SELECT most FROM one.sums WHERE k = 2;
UPDATE one.t SET v = 77777 WHERE id = 2;
SELECT zdm.revert('wide');
CALL zdm.wait('wide', 'ready', 60);
SELECT most, pg_typeof(most) FROM one.sums WHERE k = 2;
SELECT relname, relkind FROM pg_class WHERE relnamespace = 'one'::regnamespace AND relkind = 'm' ORDER BY regexp_replace(relname, '[0-9]+', '');
UPDATE one.t SET v = 88888 WHERE id = 2;
SELECT zdm.cutover('wide');
CALL zdm.wait('wide', 'soak', 60);
SELECT most, pg_typeof(most) FROM one.sums WHERE k = 2;
SELECT zdm.contract('wide');
CALL zdm.wait('wide', 'done', 60);
SELECT * FROM difference ORDER BY 1, 2;
REFRESH MATERIALIZED VIEW CONCURRENTLY one.sums;

-- A rename; and abort leaves nothing.
SELECT zdm.rename_column('one.t', 'v', 'value', name => 'name');
CALL zdm.wait('name', 'ready', 60);
SELECT zdm.abort('name');
CALL zdm.wait('name', 'aborted', 60);
SELECT * FROM difference ORDER BY 1, 2;
SELECT zdm.rename_column('one.t', 'v', 'value', name => 'again');
CALL zdm.wait('again', 'ready', 60);
SELECT zdm.cutover('again');
CALL zdm.wait('again', 'soak', 60);
SELECT zdm.contract('again');
CALL zdm.wait('again', 'done', 60);
ALTER TABLE two.t RENAME v TO value;
SELECT * FROM difference ORDER BY 1, 2;

-- What hangs on a materialized view cannot come along.
\set VERBOSITY terse
CREATE VIEW one.on_it AS SELECT * FROM one.sums;
SELECT zdm.change_type('one.t', 'value', 'numeric');
DROP VIEW one.on_it;
CREATE STATISTICS one.both ON total, most FROM one.sums;
SELECT zdm.change_type('one.t', 'value', 'numeric');
DROP STATISTICS one.both;
-- Two migrations that it reads: the second one waits for the first to end.
SELECT zdm.change_type('one.t', 'value', 'numeric', name => 'first');
CALL zdm.wait('first', 'ready', 60);
SELECT zdm.change_type('one.t', 'k', 'bigint', name => 'second');
SELECT zdm.abort('first');
CALL zdm.wait('first', 'aborted', 60);
SET client_min_messages = warning;
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION looks, build, make_views;
DROP TABLE before;
DROP EXTENSION zdm;
DROP ROLE zdm_reader;
