-- Privileges on the column itself, whoever has granted them, are on both sides as long as both are there: the same table
-- twice, one changed by zdm with a way back in between, the other by plain DDL. No statement that was allowed is refused.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE ROLE zdm_manager;
CREATE ROLE zdm_clerk;
CREATE ROLE zdm_guest;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO PUBLIC', schema);
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    CREATE TABLE t (id integer, v integer, mail text) PARTITION BY RANGE (id);
    CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
    INSERT INTO t SELECT g, g, 'm' || g FROM generate_series(1, 100) g;
    GRANT SELECT (id, v, mail), UPDATE (v, mail) ON t TO zdm_manager WITH GRANT OPTION;
    GRANT INSERT (id, v, mail) ON t TO zdm_clerk;
    GRANT SELECT (v) ON t1 TO zdm_clerk;
    SET LOCAL ROLE zdm_manager;
    GRANT SELECT (id, v, mail) ON t TO zdm_clerk WITH GRANT OPTION;
    SET LOCAL ROLE zdm_clerk;
    GRANT SELECT (v) ON t TO PUBLIC;
    RESET ROLE;
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', c.relname, a.attname, g.grantor::regrole, g.grantee::regrole, g.privilege_type, g.is_grantable)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN aclexplode(a.attacl) g
     WHERE c.relnamespace = schema::regnamespace AND NOT a.attisdropped
    UNION ALL
    SELECT concat_ws(' ', 'depends', c.relname, a.attname, d.deptype, d.refobjid::regrole)
      FROM pg_shdepend d JOIN pg_class c ON c.oid = d.objid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid
     WHERE d.classid = 'pg_class'::regclass AND c.relnamespace = schema::regnamespace AND d.refclassid = 'pg_authid'::regclass
       AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.deptype = 'a'
$$;
CREATE VIEW difference AS
    SELECT 'one' AS only_in, line FROM looks('one') EXCEPT SELECT 'one', line FROM looks('two')
    UNION ALL
    (SELECT 'two', line FROM looks('two') EXCEPT SELECT 'two', line FROM looks('one'));
TABLE difference;

SELECT zdm.change_type('one.t', 'v', 'bigint', name => 'v'), zdm.rename_column('one.t', 'mail', 'email', name => 'mail');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
-- The application of before and that of after the deploy, in every phase.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'allowed';
EXCEPTION WHEN insufficient_privilege THEN
    RETURN SQLERRM;
END $$;
CREATE FUNCTION try_all() RETURNS TABLE (who text, statement text, result text) LANGUAGE plpgsql AS $$
BEGIN
    FOR who, statement IN VALUES
        ('zdm_clerk', 'SELECT * FROM one.t'), ('zdm_clerk', 'SELECT mail FROM one.t'), ('zdm_clerk', 'SELECT email FROM one.t'),
        ('zdm_clerk', 'INSERT INTO one.t (id, v, mail) VALUES (101, 1, NULL)'), ('zdm_clerk', 'INSERT INTO one.t (id, v, email) VALUES (101, 1, NULL)'),
        ('zdm_clerk', 'UPDATE one.t SET mail = NULL'), ('zdm_clerk', 'SELECT v FROM one.t1'), ('zdm_manager', 'UPDATE one.t SET mail = mail'),
        ('zdm_manager', 'UPDATE one.t SET email = email'), ('zdm_manager', 'UPDATE one.t SET v = 2 * v'),
        ('zdm_guest', 'SELECT v FROM one.t'), ('zdm_guest', 'SELECT email FROM one.t'), ('zdm_guest', 'SELECT * FROM one.t')
    LOOP
        EXECUTE format('SET LOCAL ROLE %I', who);
        result := try(statement);
        RESET ROLE;
        RETURN NEXT;
    END LOOP;
    DELETE FROM one.t WHERE id > 100;
END $$;
SELECT * FROM try_all();
-- What is granted and revoked meanwhile counts: on either name of a renamed column, on the name of a changed one.
GRANT SELECT (email) ON one.t TO zdm_guest;
REVOKE UPDATE (v) ON one.t FROM zdm_manager;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
SELECT * FROM try_all();
GRANT UPDATE (v) ON one.t TO zdm_guest;
SELECT zdm.revert('v'), zdm.revert('mail');
CALL zdm.wait('v', 'ready', 60);
CALL zdm.wait('mail', 'ready', 60);
GRANT SELECT (mail) ON two.t TO zdm_guest;
REVOKE UPDATE (v) ON two.t FROM zdm_manager;
GRANT UPDATE (v) ON two.t TO zdm_guest;
SELECT * FROM difference WHERE line !~ 'zdm_new_|email' ORDER BY 1, 2;
SELECT zdm.cutover('v'), zdm.cutover('mail');
CALL zdm.wait('v', 'soak', 60);
CALL zdm.wait('mail', 'soak', 60);
SELECT zdm.contract('v'), zdm.contract('mail');
CALL zdm.wait('v', 'done', 60);
CALL zdm.wait('mail', 'done', 60);
ALTER TABLE two.t ALTER v TYPE bigint;
ALTER TABLE two.t RENAME mail TO email;
SELECT * FROM difference ORDER BY 1, 2;
SELECT count(*) FROM looks('one');
-- With no single successor it is refused by name.
SELECT zdm.replace_columns('one.t', '{email}', '{a text,b text}', '{email,email}');
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, looks, try_all, try;
DROP ROLE zdm_manager, zdm_clerk, zdm_guest;
DROP EXTENSION zdm;
