-- A table that is updated keeps what makes its updates HOT: pages with room for one more version. Rows that the backfill
-- moves to other pages do not take it.
CREATE EXTENSION zdm;
SET zdm.pace = 'full';
-- Updates one row a page; how many of them stay there?
CREATE FUNCTION stay(relation regclass) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    share numeric;
BEGIN
    EXECUTE format('WITH one AS (SELECT DISTINCT ON (block) id, block
                                   FROM (SELECT id, (ctid::text::point)[0] AS block FROM %1$s) AS r
                                  ORDER BY block, id),
                         updated AS (UPDATE %1$s AS t SET visits = visits + 1 FROM one
                                      WHERE t.id = one.id RETURNING (t.ctid::text::point)[0] = block AS stays)
                    SELECT avg(stays::integer) FROM updated', relation) INTO share;
    RETURN share;
END $$;
-- With options of its own and without any.
CREATE TABLE settled (id integer PRIMARY KEY, v integer NOT NULL, visits integer NOT NULL DEFAULT 0, filler text DEFAULT repeat('x', 60));
CREATE TABLE tuned (LIKE settled INCLUDING ALL) WITH (autovacuum_enabled = off, fillfactor = 100);
INSERT INTO settled SELECT g, g % 10 FROM generate_series(1, 100000) AS g;
INSERT INTO tuned SELECT * FROM settled;
-- As loaded, no page has room; the first round of updates leaves some behind.
SELECT stay('settled') < 0.1 AS settled_moves, stay('tuned') < 0.1 AS tuned_moves;
VACUUM settled, tuned;
SELECT stay('settled') > 0.9 AS settled_stays, stay('tuned') > 0.9 AS tuned_stays;
VACUUM settled, tuned;
SELECT zdm.change_type('settled', 'v', 'bigint', name => 'settled'), zdm.change_type('tuned', 'v', 'bigint', name => 'tuned');
CALL zdm.wait('settled', 'ready', 60);
CALL zdm.wait('tuned', 'ready', 60);
SELECT bool_and(pg_relation_size(relid) < 8192 * 1.2 * 100000 / 76) AS lean FROM (VALUES ('settled'::regclass), ('tuned')) AS r (relid);
SELECT stay('settled') > 0.95 AS settled_stays, stay('tuned') > 0.95 AS tuned_stays;
SELECT zdm.abort('settled'), zdm.abort('tuned');
CALL zdm.wait('settled', 'aborted', 60);
CALL zdm.wait('tuned', 'aborted', 60);
DROP TABLE settled, tuned;
DROP FUNCTION stay;
DROP EXTENSION zdm;
