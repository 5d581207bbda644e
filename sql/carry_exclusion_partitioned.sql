-- Exclusion constraints of a partitioned table, which the server has since 17, come along with those of its leaves.
SELECT current_setting('server_version_num')::integer < 170000 AS has_none \gset
\if :has_none
\quit
\endif
\set VERBOSITY terse
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE FUNCTION build(schema text, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I', schema);
    EXECUTE format('CREATE TABLE p (id integer, v %s, w integer) PARTITION BY RANGE (id)', type);
    CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (1000);
    CREATE TABLE high PARTITION OF p FOR VALUES FROM (1000) TO (3000) PARTITION BY RANGE (id);
    CREATE TABLE high_1 PARTITION OF high FOR VALUES FROM (1000) TO (2000);
    CREATE TABLE high_2 PARTITION OF high FOR VALUES FROM (2000) TO (3000);
    INSERT INTO p SELECT g, g % 1000, g FROM generate_series(1, 2999) g;
    ALTER TABLE p ADD CONSTRAINT once EXCLUDE USING btree (id WITH =, v WITH =) WHERE (w > 0) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE high ADD CONSTRAINT high_once EXCLUDE USING btree (id WITH =, (v + 1) WITH =);
    COMMENT ON CONSTRAINT once ON p IS 'of all';
END $$;
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT replace(concat_ws(' ', c.relname, k.conname, pg_get_constraintdef(k.oid), k.conislocal, k.coninhcount, k.connoinherit, p.conname, pg_get_indexdef(k.conindid), i.indisvalid, i.indisexclusion, i.indimmediate,
                             (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = k.conindid), obj_description(k.oid, 'pg_constraint')), schema || '.', '')
      FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid LEFT JOIN pg_constraint p ON p.oid = k.conparentid JOIN pg_index i ON i.indexrelid = k.conindid
     WHERE c.relnamespace = schema::regnamespace AND k.contype <> 'n' AND k.conname NOT LIKE 'zdm%'
$$;
CREATE FUNCTION difference(one text, other text) RETURNS TABLE (only_in text, line text) LANGUAGE sql AS $$
    SELECT one, line FROM (SELECT line FROM looks(one) EXCEPT ALL SELECT line FROM looks(other)) a
    UNION ALL
    SELECT other, line FROM (SELECT line FROM looks(other) EXCEPT ALL SELECT line FROM looks(one)) b ORDER BY 2
$$;
CREATE FUNCTION attach(schema text, type text, other_columns text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL search_path = %I', schema);
    EXECUTE format('CREATE TABLE late (id integer, v %s, w integer%s)', type, other_columns);
    ALTER TABLE p ATTACH PARTITION late FOR VALUES FROM (3000) TO (4000);
    INSERT INTO p (id, v, w) VALUES (3000, 1, 1);
END $$;
SELECT build('before', 'integer'), build('after', 'numeric'), build('moved', 'integer');
SELECT count(*) FROM looks('before') ORDER BY 1;
SELECT zdm.change_type('moved.p', 'v', 'numeric', reverse => 'round(v)::integer', name => 'p');
CALL zdm.wait('p', 'ready', 60);
SELECT * FROM difference('moved', 'before');
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT * FROM difference('moved', 'after');
INSERT INTO moved.p (id, v, w) VALUES (1, 1, 1);
INSERT INTO moved.p (id, v, w) VALUES (2500, 500, 0);
-- One that comes in soak has it from the table, before and after the way back.
SELECT attach('before', 'integer'), attach('after', 'numeric'), attach('moved', 'numeric', ', zdm_old_v integer');
SELECT * FROM difference('moved', 'after');
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT * FROM difference('moved', 'before');
INSERT INTO moved.p (id, v, w) VALUES (1, 1, 1);
INSERT INTO moved.p (id, v, w) VALUES (3000, 1, 1);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT * FROM difference('moved', 'after');
SELECT zdm.contract('p');
CALL zdm.wait('p', 'done', 60);
SELECT * FROM difference('moved', 'after');
-- At a rename
SELECT zdm.rename_column('moved.p', 'v', 'u', name => 'u');
CALL zdm.wait('u', 'ready', 60);
SELECT zdm.cutover('u');
CALL zdm.wait('u', 'soak', 60);
SELECT zdm.revert('u');
CALL zdm.wait('u', 'ready', 60);
SELECT * FROM difference('moved', 'after');
SELECT zdm.cutover('u');
CALL zdm.wait('u', 'soak', 60);
INSERT INTO moved.p (id, u, w) VALUES (3000, 1, 1);
SELECT zdm.contract('u');
CALL zdm.wait('u', 'done', 60);
ALTER TABLE after.p RENAME v TO u;
SELECT * FROM difference('moved', 'after');
DROP SCHEMA before, after, moved CASCADE;
DROP FUNCTION build, looks, difference, attach;
DROP EXTENSION zdm;
