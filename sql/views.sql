-- Views, views on views and rules go with the column that they read. The same schema twice, one changed by zdm with a
-- way back in between, the other by hand: nothing tells them apart.
CREATE EXTENSION zdm;
CREATE ROLE zdm_reader; CREATE ROLE zdm_second; CREATE ROLE zdm_author;
CREATE FUNCTION make_views() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Options, defaults, comments, privileges given on, and what a view carries itself.
    CREATE VIEW plain WITH (security_barrier) AS SELECT id, v, v * 2 AS twice, note FROM t;
    ALTER VIEW plain RENAME note TO remark;
    ALTER VIEW plain ALTER v SET DEFAULT 7;
    COMMENT ON VIEW plain IS 'what one sees';
    COMMENT ON COLUMN plain.twice IS 'twice as much';
    COMMENT ON RULE "_RETURN" ON plain IS 'as it reads';
    GRANT SELECT ON plain TO zdm_reader WITH GRANT OPTION;
    GRANT UPDATE (remark) ON plain TO zdm_second;
    SET LOCAL ROLE zdm_reader;
    GRANT SELECT ON plain TO zdm_second;
    RESET ROLE;
    CREATE TRIGGER plain_insert INSTEAD OF INSERT ON plain FOR EACH ROW EXECUTE FUNCTION insert_plain('x');
    COMMENT ON TRIGGER plain_insert ON plain IS 'writes it';
    CREATE RULE plain_delete AS ON DELETE TO plain DO INSTEAD DELETE FROM t WHERE v = old.v;
    COMMENT ON RULE plain_delete ON plain IS 'deletes it';
    -- On it, and on that, with the table again.
    CREATE VIEW "On It" AS SELECT twice, count(*) AS "how many" FROM plain GROUP BY twice;
    CREATE VIEW on_that AS SELECT o.twice, t.v FROM "On It" o JOIN t ON t.v * 2 = o.twice;
    CREATE VIEW checked AS SELECT id, v FROM t WHERE v < 1000 WITH LOCAL CHECK OPTION;
    CREATE RECURSIVE VIEW tree (id, v, path) AS
        SELECT id, v, v::text FROM t WHERE id = 1 UNION ALL SELECT t.id, t.v, path || '/' || t.v FROM tree JOIN t ON t.id = tree.id + 1 WHERE t.id < 5;
    CREATE VIEW ranked AS SELECT id, rank() OVER (PARTITION BY v % 3 ORDER BY v) AS rank, COALESCE(v, 0) AS v FROM t;
    CREATE VIEW joined AS SELECT * FROM t JOIN other USING (v);
    CREATE VIEW by_position AS SELECT x.b, x.a FROM t AS x(a, n, b) JOIN other AS y(z) ON z = b;
    CREATE VIEW written AS SELECT v FROM t;
    ALTER VIEW written OWNER TO zdm_author;
    -- Only reads it: none of its columns changes.
    CREATE OR REPLACE VIEW filter AS SELECT id, note FROM t WHERE v > 10 AND v IN (SELECT v FROM other);
    CREATE OR REPLACE RULE filter_update AS ON UPDATE TO filter DO INSTEAD UPDATE t SET v = length(new.note) WHERE t.id = old.id;
    CREATE OR REPLACE RULE keep AS ON UPDATE TO t WHERE old.v IS DISTINCT FROM new.v DO ALSO INSERT INTO log VALUES (old.v, new.v);
END $$;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO zdm_reader, zdm_author', schema);
    CREATE TABLE t (id integer PRIMARY KEY, note text, v integer);
    CREATE TABLE other (v integer);
    CREATE TABLE log (old bigint, new bigint);
    INSERT INTO t SELECT g, 'n' || g, g % 30 FROM generate_series(1, 100) g;
    INSERT INTO other SELECT generate_series(5, 15);
    CREATE FUNCTION insert_plain() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
        'BEGIN INSERT INTO t VALUES (new.id, new.remark, new.v); RETURN new; END';
    PERFORM make_views();
    CREATE FUNCTION uses_filter() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM filter; END;
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', c.relname, c.relkind, c.relowner::regrole, c.reloptions, (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(c.relacl) a),
                     obj_description(c.oid), pg_get_viewdef(c.oid))
      FROM pg_class c WHERE c.relnamespace = schema::regnamespace AND c.relkind IN ('r', 'v')
    UNION ALL
    SELECT concat_ws(' ', c.relname, a.attname, CASE c.relkind WHEN 'v' THEN a.attnum END, format_type(a.atttypid, a.atttypmod), a.attacl,
                     pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum))
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = schema::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v')
    UNION ALL
    SELECT concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger')) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = schema::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(' ', r.rulename, pg_get_ruledef(r.oid), obj_description(r.oid, 'pg_rewrite')) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
     WHERE c.relnamespace = schema::regnamespace
    UNION ALL
    SELECT concat_ws(' ', pg_describe_object(d.classid, d.objid, d.objsubid), d.refobjid::regrole) FROM pg_shdepend d JOIN pg_class c ON c.oid = d.objid
     WHERE c.relnamespace = schema::regnamespace AND d.classid = 'pg_class'::regclass AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;
-- What differs between the two, by the names without their schema.
CREATE VIEW difference AS
    SELECT 'one' AS only_in, replace(line, 'one.', '') AS line FROM looks('one')
    EXCEPT SELECT 'one', replace(line, 'two.', '') FROM looks('two')
    UNION ALL
    (SELECT 'two', replace(line, 'two.', '') FROM looks('two')
     EXCEPT SELECT 'two', replace(line, 'one.', '') FROM looks('one'));
SELECT * FROM difference;
CREATE VIEW data AS
    SELECT (SELECT sum(v + twice) FROM one.plain) AS plain, (SELECT sum(twice * v) FROM one.on_that) AS on_that,
           (SELECT count(*) FROM one.checked) AS checked, (SELECT max(path) FROM one.tree) AS tree, (SELECT sum(rank * v) FROM one.ranked) AS ranked,
           (SELECT sum(b) FROM one.by_position) AS by_position, (SELECT count(v) FROM one.joined) AS joined, (SELECT count(*) FROM one.filter) AS filter;
CREATE TABLE before AS SELECT * FROM data;
CREATE TABLE kept AS SELECT 'one.filter'::regclass::oid AS filter, 'one.plain'::regclass::oid AS plain;

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'wide');
CALL zdm.wait('wide', 'ready', 60);
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(old|new|sync)|v_1|by_position|ON joined|TO joined|^joined' ORDER BY 1, 2;
SELECT zdm.cutover('wide');
CALL zdm.wait('wide', 'soak', 60);
SELECT name, phase, state, message FROM zdm.status;
SELECT * FROM before EXCEPT SELECT * FROM data;
-- By hand
ALTER DEFAULT PRIVILEGES IN SCHEMA one GRANT ALL ON TABLES TO PUBLIC;
BEGIN;
SET LOCAL search_path = two, public;
DROP RULE keep ON t; DROP FUNCTION uses_filter(); DROP VIEW filter;
DROP VIEW on_that, "On It", plain, checked, tree, ranked, joined, by_position, written;
ALTER TABLE t ALTER v TYPE bigint;
SELECT make_views();
CREATE FUNCTION uses_filter() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM filter; END;
COMMIT;
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(old|new|sync)|v_1|by_position|ON joined|TO joined|^joined' ORDER BY 1, 2;
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'one'::regnamespace AND c.relkind = 'v' AND a.attnum > 0 ORDER BY 1, a.attnum;
SELECT 'one.filter'::regclass = kept.filter AS same, 'one.plain'::regclass = kept.plain AS anew FROM kept;
-- Everything reads and writes the new column.
INSERT INTO one.plain (id, remark) VALUES (201, 'default');
UPDATE one.checked SET v = 5000000000 WHERE id = 3;
UPDATE one.checked SET v = 900 WHERE id = 3;
UPDATE one.filter SET note = 'nineteen letters...' WHERE id = 11;
DELETE FROM one.plain WHERE v = 12;
UPDATE one.t SET v = 6000000000 WHERE id = 1;
SELECT id, v, zdm_old_v FROM one.t WHERE id IN (1, 3, 11, 12, 201) ORDER BY id;
SELECT * FROM one.log ORDER BY 1, 2;
SELECT id, v, twice FROM one.plain WHERE id IN (1, 3, 11) ORDER BY 1;
SELECT zdm.verify('wide');
UPDATE one.t SET v = 1 WHERE id = 1;
-- In soak somebody changes a view and adds another; both go back with it.
COMMENT ON VIEW one.checked IS 'of late';
CREATE VIEW one.late AS SELECT max(v) AS most FROM one.plain;
SELECT zdm.revert('wide');
CALL zdm.wait('wide', 'ready', 60);
SELECT obj_description('one.checked'::regclass), attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'one.late'::regclass AND attnum > 0;
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'one.joined'::regclass AND attnum > 0 ORDER BY attnum;
INSERT INTO one.plain (id, remark) VALUES (202, 'default');
UPDATE one.filter SET note = 'nineteen letters...' WHERE id = 13;
SELECT id, v, zdm_new_v FROM one.t WHERE id IN (1, 3, 11, 12, 13, 201, 202) ORDER BY id;
SELECT zdm.verify('wide');
DROP VIEW one.late;
COMMENT ON VIEW one.checked IS NULL;
-- A view that comes when all is ready comes along.
CREATE VIEW one.late AS SELECT v FROM one.t; CREATE VIEW two.late AS SELECT v FROM two.t;
REVOKE ALL ON one.late FROM PUBLIC;
GRANT SELECT ON one.late, two.late TO zdm_reader;
SELECT zdm.cutover('wide');
CALL zdm.wait('wide', 'soak', 60);
SELECT zdm.contract('wide');
CALL zdm.wait('wide', 'done', 60);
SELECT * FROM difference ORDER BY 1, 2;
SELECT count(*) FROM one.late;

-- A rename keeps the names of the views' columns, and the views themselves.
DROP VIEW data;
SELECT oid, relname INTO same FROM pg_class WHERE relnamespace = 'one'::regnamespace AND relkind = 'v';
SELECT zdm.rename_column('one.t', 'v', 'value', name => 'name');
CALL zdm.wait('name', 'ready', 60);
SELECT zdm.cutover('name');
CALL zdm.wait('name', 'soak', 60);
SELECT substring(pg_get_viewdef('one.checked'::regclass), 'v[a-z]* AS v'), substring(pg_get_viewdef('one.checked'::regclass), '(v[a-z]*) < 1000');
INSERT INTO one.checked VALUES (301, 5), (302, 2000);
INSERT INTO one.checked VALUES (301, 5);
SELECT id, v, value FROM one.t WHERE id > 300;
SELECT zdm.verify('name');
SELECT zdm.revert('name');
CALL zdm.wait('name', 'ready', 60);
SELECT substring(pg_get_viewdef('one.checked'::regclass), 'v[a-z]* AS v'), substring(pg_get_viewdef('one.checked'::regclass), '(v[a-z]*) < 1000');
SELECT only_in, line FROM difference WHERE line !~ 'zdm_(old|new|sync)|v_1|by_position|ON joined|TO joined|^joined' ORDER BY 1, 2;
SELECT zdm.cutover('name');
CALL zdm.wait('name', 'soak', 60);
SELECT zdm.contract('name');
CALL zdm.wait('name', 'done', 60);
ALTER TABLE two.t RENAME v TO value;
SELECT * FROM difference ORDER BY 1, 2;
SELECT count(*) FROM pg_class c JOIN same USING (oid) WHERE c.relname = same.relname;
SELECT count(*) FROM same;

-- One view over two tables of a migration, and over another migration's column.
CREATE TABLE a (id integer PRIMARY KEY, x integer); CREATE TABLE b (a integer REFERENCES a);
INSERT INTO a SELECT g, g FROM generate_series(1, 10) g; INSERT INTO b SELECT id FROM a;
CREATE VIEW ab AS SELECT a.id, a.x, b.a FROM a JOIN b ON b.a = a.id;
CREATE VIEW aab AS SELECT count(id), x FROM ab GROUP BY x;
SELECT zdm.change_type('b', 'a', 'bigint', name => 'keys'), zdm.change_type('a', 'x', 'numeric', name => 'x');
CALL zdm.wait('keys', 'ready', 60); CALL zdm.wait('x', 'ready', 60);
SELECT zdm.cutover('x');
CALL zdm.wait('x', 'soak', 60);
SELECT zdm.cutover('keys');
CALL zdm.wait('keys', 'soak', 60);
\d ab
SELECT zdm.revert('x');
CALL zdm.wait('x', 'ready', 60);
\d ab
SELECT zdm.contract('keys');
CALL zdm.wait('keys', 'done', 60);
SELECT zdm.cutover('x');
CALL zdm.wait('x', 'soak', 60);
SELECT zdm.contract('x');
CALL zdm.wait('x', 'done', 60);
\d ab
\d aab
SELECT sum(id), sum(x), sum(a) FROM ab;
DROP VIEW aab, ab;
DROP TABLE a, b;

-- What cannot come along is refused at start, by name.
\set VERBOSITY terse
CREATE TABLE r (id integer PRIMARY KEY, v integer);
CREATE VIEW rv AS SELECT v FROM r;
CREATE FUNCTION reads() RETURNS integer BEGIN ATOMIC SELECT max(v) FROM rv; END;
SELECT zdm.change_type('r', 'v', 'bigint');
DROP FUNCTION reads();
CREATE FUNCTION takes(rv) RETURNS integer LANGUAGE sql AS 'SELECT 1';
SELECT zdm.change_type('r', 'v', 'bigint');
DROP FUNCTION takes(rv);
CREATE MATERIALIZED VIEW rm AS SELECT * FROM rv;
SELECT zdm.change_type('r', 'v', 'bigint');
DROP MATERIALIZED VIEW rm;
CREATE TEMP VIEW rt AS SELECT v FROM rv;
SELECT zdm.change_type('r', 'v', 'bigint');
DROP VIEW rt;
CREATE VIEW rw AS SELECT v + 1 AS next FROM rv;
SELECT zdm.change_type('r', 'v', 'text');
SELECT zdm.replace_columns('r', '{v}', '{w bigint,x bigint}', '{v,v}');
DROP VIEW rw;
GRANT CREATE ON SCHEMA public TO zdm_author, zdm_reader;
ALTER TABLE r OWNER TO zdm_author;
ALTER VIEW rv OWNER TO zdm_reader;
SELECT zdm.change_type('r', 'v', 'bigint');
GRANT zdm_reader TO zdm_author;
SELECT zdm.change_type('r', 'v', 'bigint', name => 'fine');
CALL zdm.wait('fine', 'ready', 60);
SELECT zdm.cutover('fine');
CALL zdm.wait('fine', 'soak', 60);
SELECT relname, relowner::regrole, relacl FROM pg_class WHERE relname IN ('r', 'rv') ORDER BY 1;
SELECT zdm.contract('fine');
CALL zdm.wait('fine', 'done', 60);
\d rv
DROP VIEW rv;
DROP TABLE r;
REVOKE CREATE ON SCHEMA public FROM zdm_author, zdm_reader;
SET client_min_messages = warning;
DROP SCHEMA one, two CASCADE;
DROP VIEW difference;
DROP FUNCTION looks, build, make_views;
DROP TABLE before, kept, same;
DROP EXTENSION zdm;
DROP ROLE zdm_reader, zdm_second, zdm_author;
