-- What a partition has for itself comes along as what its parent has. Three times the same table: with the old type, with
-- the new one, and changed from one to the other by zdm, with a way back in between.
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FUNCTION build(schema text, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    EXECUTE format('CREATE TABLE p (id integer NOT NULL, at date NOT NULL, w integer, v %s) PARTITION BY RANGE (at)', type);
    CREATE TABLE low PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
    CREATE TABLE high PARTITION OF p FOR VALUES FROM ('2026-02-01') TO ('2026-04-01') PARTITION BY RANGE (at);
    CREATE TABLE high_feb PARTITION OF high FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
    CREATE TABLE high_mar PARTITION OF high FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
    CREATE INDEX p_v ON p (v, w);
    ALTER TABLE p ADD CONSTRAINT p_later UNIQUE (at, v) DEFERRABLE INITIALLY DEFERRED;
    -- A constraint of one partition, under an index of the table's.
    ALTER TABLE low ADD CONSTRAINT low_of_index UNIQUE (at, v, w);
    CREATE UNIQUE INDEX p_index ON p (at, v, w);
    ALTER TABLE p ALTER v SET STATISTICS 50;
    COMMENT ON COLUMN p.v IS 'the parent';

    ALTER TABLE low ALTER v SET NOT NULL;
    ALTER TABLE low ALTER v SET DEFAULT 5;
    ALTER TABLE low ALTER v SET STATISTICS 77;
    ALTER TABLE low ALTER v SET (n_distinct = 5);
    ALTER TABLE low ADD CONSTRAINT low_check CHECK (v > 0);
    ALTER TABLE low ADD CONSTRAINT v_not_null CHECK (v IS NOT NULL);
    ALTER TABLE low ADD CONSTRAINT low_key UNIQUE (v) INCLUDE (w);
    ALTER TABLE low ADD CONSTRAINT low_later UNIQUE (w, v) DEFERRABLE;
    CREATE INDEX low_index ON low ((v + 1)) WHERE v > 3;
    CREATE STATISTICS low_statistics ON v, w FROM low;
    CREATE TRIGGER low_trigger AFTER UPDATE OF v ON low FOR EACH ROW WHEN (new.v > 3) EXECUTE FUNCTION noted();
    ALTER TABLE low DISABLE TRIGGER low_trigger;
    CREATE POLICY low_policy ON low USING (v > 0);
    GRANT SELECT (v) ON low TO PUBLIC;
    ALTER TABLE low CLUSTER ON low_key;
    COMMENT ON COLUMN low.v IS 'the low ones';
    COMMENT ON CONSTRAINT low_check ON low IS 'a check';
    COMMENT ON CONSTRAINT low_key ON low IS 'a key';
    COMMENT ON INDEX low_index IS 'an index';
    COMMENT ON TRIGGER low_trigger ON low IS 'a trigger';

    -- Of both of its partitions, and of one that knows better.
    ALTER TABLE high ADD CONSTRAINT high_check CHECK (v <> 7) NOT VALID;
    ALTER TABLE high ALTER v SET NOT NULL;
    ALTER TABLE high ADD CONSTRAINT high_key UNIQUE (at, v);
    CREATE INDEX high_index ON high (v) WHERE w > 0;
    ALTER TABLE high_mar ALTER v SET STATISTICS -1;
    ALTER TABLE high_mar ADD PRIMARY KEY (v);
    ALTER TABLE high_mar REPLICA IDENTITY USING INDEX high_mar_pkey;
    CREATE TRIGGER high_trigger BEFORE UPDATE ON high FOR EACH ROW WHEN (old.v <> new.v) EXECUTE FUNCTION noted();

    INSERT INTO p SELECT g, date '2026-01-01' + g % 80, g % 3, g FROM generate_series(10, 500) g;
END $$;
-- What comes later.
CREATE FUNCTION add(schema text, type text, other_columns text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL search_path = %I, public', schema);
    EXECUTE format('CREATE TABLE soaked (id integer NOT NULL, at date NOT NULL, w integer, v %s NOT NULL CONSTRAINT soaked_check CHECK (v <> 8)%s)', type, other_columns);
    CREATE TRIGGER soaked_trigger AFTER UPDATE OF v ON soaked FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE POLICY soaked_policy ON soaked USING (v > 0);
    ALTER TABLE p ATTACH PARTITION soaked FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
    INSERT INTO soaked (id, at, v) VALUES (1, '2026-05-01', 1);
    CREATE TRIGGER p_trigger AFTER UPDATE ON p FOR EACH ROW WHEN (old.v < new.v) EXECUTE FUNCTION noted();
END $$;
SELECT build('before', 'integer'), build('after', 'bigint'), build('moved', 'integer');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    WITH r AS (SELECT oid, relname FROM pg_class WHERE relnamespace = schema::regnamespace AND relkind IN ('r', 'p'))
    SELECT replace(line, schema || '.', '') FROM (
        SELECT concat_ws(' ', r.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, coalesce(a.attstattarget, -1), a.attacl, col_description(a.attrelid, a.attnum),
                         pg_get_expr(d.adbin, d.adrelid), (SELECT string_agg(o.option_name || o.option_value, ',') FROM pg_options_to_table(a.attoptions) o WHERE o.option_name LIKE 'n_d%'))
          FROM r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT LIKE 'zdm%'
        UNION ALL
        SELECT concat_ws(' ', r.relname, k.conname, pg_get_constraintdef(k.oid), k.coninhcount, k.connoinherit, obj_description(k.oid, 'pg_constraint'))
          FROM r JOIN pg_constraint k ON k.conrelid = r.oid WHERE k.contype <> 'n' AND k.conname NOT LIKE 'zdm%'
        UNION ALL
        SELECT concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisclustered, i.indisreplident, obj_description(i.indexrelid, 'pg_class')) FROM r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class c ON c.oid = i.indexrelid
         WHERE c.relname NOT LIKE 'zdm%'
        UNION ALL
        SELECT pg_get_statisticsobjdef(s.oid) FROM r JOIN pg_statistic_ext s ON s.stxrelid = r.oid WHERE s.stxname NOT LIKE 'zdm%'
        UNION ALL
        SELECT concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger')) FROM r JOIN pg_trigger t ON t.tgrelid = r.oid
         WHERE NOT t.tgisinternal AND t.tgname NOT LIKE '~zdm%'
        UNION ALL
        SELECT concat_ws(' ', r.relname, p.polname, pg_get_expr(p.polqual, p.polrelid)) FROM r JOIN pg_policy p ON p.polrelid = r.oid) AS l(line)
$$;
SELECT count(*) FROM looks('moved');
CREATE FUNCTION difference(one text, other text) RETURNS TABLE (only_in text, line text) LANGUAGE sql AS $$
    SELECT one, line FROM (SELECT line FROM looks(one) EXCEPT ALL SELECT line FROM looks(other)) a
    UNION ALL
    SELECT other, line FROM (SELECT line FROM looks(other) EXCEPT ALL SELECT line FROM looks(one)) b ORDER BY 2
$$;
SELECT * FROM difference('moved', 'before');

SELECT zdm.change_type('moved.p', 'v', 'bigint', name => 'v');
CALL zdm.wait('v', 'ready', 60);
SELECT zdm.cutover('v');
CALL zdm.wait('v', 'soak', 60);
SELECT * FROM difference('moved', 'after');
-- Each holds.
INSERT INTO moved.p (id, at, v) VALUES (1, '2026-01-02', NULL);
INSERT INTO moved.p (id, at, v) VALUES (1, '2026-01-02', 80);
INSERT INTO moved.p (id, at, v) VALUES (1, '2026-01-02', -1);
INSERT INTO moved.p (id, at, v) VALUES (1, '2026-03-02', NULL);
INSERT INTO moved.p (id, at, v) VALUES (1, '2026-02-02', 7);
-- What has come since is there after a revert too.
SELECT add('before', 'integer'), add('after', 'bigint'), add('moved', 'bigint', ', zdm_old_v integer');
SELECT * FROM difference('moved', 'after');
-- A partition has another name meanwhile, and another table its own.
ALTER TABLE moved.low RENAME TO lowest;
CREATE TABLE moved.low (LIKE moved.lowest);
SELECT zdm.revert('v');
CALL zdm.wait('v', 'ready', 60);
DROP TABLE moved.low;
ALTER TABLE moved.lowest RENAME TO low;
UPDATE moved.p SET v = 8 WHERE id = 1 AND at = '2026-05-01';
SELECT * FROM difference('moved', 'before');
-- A partition may go with all that it has, and one may come with more.
ALTER TABLE moved.p DETACH PARTITION moved.high;
DROP TABLE moved.high;
DROP TABLE after.high;
CREATE TABLE moved.late (id integer NOT NULL, at date NOT NULL, w integer, v integer CONSTRAINT late_check CHECK (v > 0), zdm_new_v bigint);
ALTER TABLE moved.p ATTACH PARTITION moved.late FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CREATE TABLE after.late (id integer NOT NULL, at date NOT NULL, w integer, v bigint CONSTRAINT late_check CHECK (v > 0));
ALTER TABLE after.p ATTACH PARTITION after.late FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
CALL zdm.wait('v', 'ready', 60);
-- What one no longer demands another does.
ALTER TABLE moved.low ALTER v DROP NOT NULL;
ALTER TABLE moved.late ALTER v SET NOT NULL;
ALTER TABLE after.low ALTER v DROP NOT NULL;
ALTER TABLE after.late ALTER v SET NOT NULL;
SELECT zdm.cutover('v');
CALL zdm.wait('v', 'soak', 60);
SELECT * FROM difference('moved', 'after');
SELECT zdm.contract('v');
CALL zdm.wait('v', 'done', 60);
SELECT * FROM difference('moved', 'after');
SELECT count(*), sum(v) FROM moved.p;
DROP SCHEMA before, after, moved CASCADE;

DROP FUNCTION build, add, looks, difference, noted;
DROP EXTENSION zdm;
