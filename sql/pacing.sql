-- Pace: limits of what a backfill may do to others; each is a setting that may change while it runs.
CREATE EXTENSION zdm;
SELECT name, setting, unit FROM pg_settings WHERE name LIKE 'zdm.max%' OR name IN ('zdm.pace', 'zdm.batch_time') ORDER BY name;
SET zdm.pace = 'AUTO';
SET zdm.pace = '0.001';
SET zdm.max_impact = -1;
SET zdm.max_replica_lag = '-1s';
RESET ALL;
CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL, filler text DEFAULT repeat('x', 60));
INSERT INTO t (v) SELECT g FROM generate_series(1, 20000) g;
VACUUM ANALYZE t;
-- Waits until the status is as asked for.
CREATE PROCEDURE until(condition text) LANGUAGE plpgsql AS $$
DECLARE
    met boolean;
BEGIN
    FOR i IN 1 .. 600 LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM zdm.status WHERE phase <> ''done'' AND %s)', condition) INTO met;
        COMMIT;
        EXIT WHEN met;
        PERFORM pg_sleep(0.05);
    END LOOP;
    IF NOT met THEN
        RAISE EXCEPTION 'never %: %', condition, (SELECT (s.phase, s.state, s.message, s.throttled_by) FROM zdm.status s);
    END IF;
END $$;
-- Own WAL a second holds at any pace: what is written is paid for by a pause.
SET zdm.pace = 'full';
SET zdm.max_wal_rate = '256kB';
SET zdm.batch_time = '1ms';
SELECT pg_current_wal_insert_lsn() AS wal_before, clock_timestamp() AS began \gset
SELECT zdm.change_type('t', 'v', 'bigint', name => 'm');
SELECT settings FROM zdm.migration;
CALL until($$throttled_by ~ '^own WAL [0-9.]+ [kM]B/s \(zdm.max_wal_rate 256 kB/s\)$'$$);
SELECT pg_sleep(1);
SELECT phase, state FROM zdm.status;
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'wal_before') < 262144 * (extract(epoch FROM clock_timestamp() - :'began') + 2) AS within_budget;
-- A limit that is lifted counts from the next batch on.
SELECT zdm.configure('m', 'max_wal_rate', NULL);
CALL zdm.wait('m', 'ready', 60);
SELECT throttled_by, state FROM zdm.status;
SELECT zdm.cutover('m');
CALL zdm.wait('m', 'soak', 60);
SELECT zdm.contract('m');
CALL zdm.wait('m', 'done', 60);
RESET ALL;
-- A share that was asked for is a reason as well.
SET zdm.pace = '0.01';
SELECT zdm.change_type('t', 'v', 'numeric', name => 'slowly');
CALL until($$throttled_by = 'zdm.pace = 0.01'$$);
SELECT zdm.configure('slowly', 'pace', 'full');
CALL zdm.wait('slowly', 'ready', 60);
SELECT zdm.abort('slowly');
CALL zdm.wait('slowly', 'aborted', 60);
DROP PROCEDURE until;
DROP TABLE t;
DROP EXTENSION zdm CASCADE;
