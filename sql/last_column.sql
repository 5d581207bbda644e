-- The sync trigger adds a value of fixed length at the end of a row: the row is what the server itself would have
-- formed, for each length and alignment, with other NULLs and without, on either side of eight columns (where the bitmap
-- of NULLs makes the header longer).
CREATE EXTENSION zdm;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pageinspect;
CREATE FUNCTION raw(heap regclass) RETURNS TABLE (nulls text, data bytea, hoff integer, has_null boolean, length integer) LANGUAGE sql AS $$
    SELECT t_bits, t_data, t_hoff, (t_infomask & 1) = 1, lp_len FROM heap_page_items(get_raw_page(heap::text, 0)) WHERE t_infomask & 2048 <> 0 OR t_infomask & 128 <> 0
$$;
CREATE TABLE shape (name text, type text, columns text, row text);
INSERT INTO shape
SELECT format('%s_%s', replace(type, ' ', '_'), n), type, columns, row
  FROM unnest('{bigint,smallint,real,double precision,boolean}'::text[]) AS type,
       (VALUES (1, '', ''),
               (2, ', note text', $$, 'some'$$),
               (3, ', note text, flag boolean', $$, NULL, true$$),
               (4, ', a smallint, b bigint, c boolean, d integer, e text', $$, 1, 2, true, 4, 'e'$$),
               (5, ', a smallint, b bigint, c boolean, d integer, e text, f date', $$, 1, 2, true, 4, 'eeee', date '2026-01-01'$$),
               (6, ', a smallint, b bigint, c boolean, d integer, e text, f date, g boolean, h text', $$, 1, 2, NULL::boolean, 4, 'eeee', date '2026-01-01', true, 'hhh'$$)) AS form(n, columns, row);
-- The same rows once through the trigger, once as the server writes them.
CREATE PROCEDURE compare(shape) LANGUAGE plpgsql AS $$
DECLARE
    value text := CASE WHEN $1.type = 'boolean' THEN 'v <> 0' ELSE 'v' END;
BEGIN
    EXECUTE format('CREATE TABLE %I (v integer%s)', $1.name, $1.columns);
    COMMIT;
    PERFORM zdm.change_type($1.name::regclass, 'v', $1.type, forward => value, reverse => CASE WHEN $1.type = 'boolean' THEN 'v::integer' END, name => 'm');
    COMMIT;
    CALL zdm.wait('m', 'ready', 60);
    EXECUTE format('INSERT INTO %I VALUES (7%s), (0%s), (NULL%s)', $1.name, $1.row, $1.row, $1.row);
    EXECUTE format('CREATE TABLE plain (v integer%s, new %s)', $1.columns, $1.type);
    EXECUTE format('INSERT INTO plain SELECT *, %s FROM (VALUES (7%s), (0%s), (NULL%s)) AS x(v)', value, $1.row, $1.row, $1.row);
    -- Rows whose last column is compared, and one that gets it when it is written for the first time.
    EXECUTE format('UPDATE %I SET v = 5 WHERE v = 7', $1.name);
    EXECUTE 'UPDATE plain SET v = 5, new = ' || replace(value, 'v', '5') || ' WHERE v = 7';
    EXECUTE format('UPDATE %I SET zdm_new_v = %s WHERE v = 0', $1.name, replace(value, 'v', '3'));
    EXECUTE format('UPDATE plain SET v = %s, new = %s WHERE v = 0', CASE WHEN $1.type = 'boolean' THEN '1' ELSE '3' END, replace(value, 'v', '3'));
    EXECUTE format('UPDATE %I SET v = v', $1.name);
    EXECUTE 'UPDATE plain SET v = v';
    IF (SELECT array_agg(r ORDER BY r) FROM raw($1.name::regclass) r) IS DISTINCT FROM (SELECT array_agg(r ORDER BY r) FROM raw('plain') r) THEN
        RAISE WARNING '%: % is not %', $1.name, (SELECT array_agg(r ORDER BY r) FROM raw($1.name::regclass) r), (SELECT array_agg(r ORDER BY r) FROM raw('plain') r);
    END IF;
    COMMIT;
    PERFORM zdm.abort('m');
    COMMIT;
    CALL zdm.wait('m', 'aborted', 60);
    EXECUTE format('DROP TABLE %I, plain', $1.name);
END $$;
DO $$
DECLARE
    s shape;
BEGIN
    FOR s IN SELECT * FROM shape ORDER BY name LOOP
        CALL compare(s);
    END LOOP;
END $$;
SELECT count(*) FROM zdm.migration WHERE phase = 'aborted';
DROP PROCEDURE compare;
DROP TABLE shape;
DROP FUNCTION raw;
DROP EXTENSION pageinspect;
DROP EXTENSION zdm;
