-- An exclusion constraint of one partition alone. Three times the same table: with the old type, with the new one, and
-- changed by zdm, with a way back in between.
\set VERBOSITY terse
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE FUNCTION build(schema text, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I', schema);
    EXECUTE format('CREATE TABLE p (id integer, v %s) PARTITION BY RANGE (id)', type);
    CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (1000);
    CREATE TABLE high PARTITION OF p FOR VALUES FROM (1000) TO (2000);
    INSERT INTO p SELECT g, g % 1000 FROM generate_series(1, 1999) g;
    ALTER TABLE low ADD CONSTRAINT once EXCLUDE USING hash (v WITH =) DEFERRABLE;
    ALTER TABLE low ADD CONSTRAINT twice EXCLUDE USING btree ((v + 1) WITH =) WHERE (v > 500);
    ALTER TABLE high ADD CONSTRAINT high_once EXCLUDE USING btree (v WITH =, id WITH =);
    COMMENT ON CONSTRAINT once ON low IS 'of one';
END $$;
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT replace(concat_ws(' ', c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated, pg_get_indexdef(k.conindid), obj_description(k.oid, 'pg_constraint')), schema || '.', '')
      FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid
     WHERE c.relnamespace = schema::regnamespace AND k.contype <> 'n' AND k.conname NOT LIKE 'zdm%'
$$;
CREATE FUNCTION difference(one text, other text) RETURNS TABLE (only_in text, line text) LANGUAGE sql AS $$
    SELECT one, line FROM (SELECT line FROM looks(one) EXCEPT ALL SELECT line FROM looks(other)) a
    UNION ALL
    SELECT other, line FROM (SELECT line FROM looks(other) EXCEPT ALL SELECT line FROM looks(one)) b ORDER BY 2
$$;
SELECT build('before', 'integer'), build('after', 'numeric'), build('moved', 'integer');
SELECT * FROM looks('before') ORDER BY 1;
SELECT zdm.change_type('moved.p', 'v', 'numeric', reverse => 'round(v)::integer', name => 'p');
CALL zdm.wait('p', 'ready', 60);
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT * FROM difference('moved', 'after');
-- Each holds; and the old one, which would not let two values be that round to one, does not.
INSERT INTO moved.p (id, v) VALUES (1, 500);
INSERT INTO moved.p (id, v) VALUES (1500, 500);
INSERT INTO moved.p (id, v) VALUES (1, 500.1);
SELECT zdm.revert('p');
CALL zdm.wait('p', 'ready', 60);
SELECT class, key IS NOT NULL AS told, actual_value IS NOT NULL AS "of" FROM zdm.discrepancy WHERE name = 'p' AND resolved_at IS NULL;
DELETE FROM moved.p WHERE v = 500.1;
SELECT zdm.resume('p');
CALL zdm.wait('p', 'ready', 60);
SELECT * FROM difference('moved', 'before');
INSERT INTO moved.p (id, v) VALUES (1, 500);
-- One partition goes with its constraint, before that is proved.
ALTER TABLE moved.p DETACH PARTITION moved.high;
DROP TABLE moved.high;
DROP TABLE after.high;
SELECT zdm.cutover('p');
CALL zdm.wait('p', 'soak', 60);
SELECT * FROM difference('moved', 'after');
INSERT INTO moved.p (id, v) VALUES (1, 500);
SELECT zdm.contract('p');
CALL zdm.wait('p', 'done', 60);
SELECT * FROM difference('moved', 'after');
INSERT INTO moved.p (id, v) VALUES (1, 500);
-- At a rename there is nothing to prove.
SELECT zdm.rename_column('moved.p', 'v', 'u', name => 'u');
CALL zdm.wait('u', 'ready', 60);
SELECT zdm.cutover('u');
CALL zdm.wait('u', 'soak', 60);
INSERT INTO moved.p (id, u) VALUES (1, 500);
SELECT zdm.revert('u');
CALL zdm.wait('u', 'ready', 60);
SELECT * FROM difference('moved', 'after');
SELECT zdm.cutover('u');
CALL zdm.wait('u', 'soak', 60);
SELECT zdm.contract('u');
CALL zdm.wait('u', 'done', 60);
ALTER TABLE after.p RENAME v TO u;
SELECT * FROM difference('moved', 'after');
DROP SCHEMA before, after, moved CASCADE;
DROP FUNCTION build, looks, difference;
DROP EXTENSION zdm;
