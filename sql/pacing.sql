-- Pace: limits of what a backfill may do to others; each is a setting that may change while it runs.
CREATE EXTENSION zdm;
SELECT name, setting, unit FROM pg_settings WHERE name LIKE 'zdm.max%' OR name IN ('zdm.pace', 'zdm.batch_time') ORDER BY name;
SET zdm.pace = 'AUTO';
SET zdm.pace = '0.001';
SET zdm.max_impact = -1;
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
        EXECUTE format('SELECT EXISTS (SELECT FROM zdm.status WHERE phase NOT IN (''done'', ''aborted'') AND %s)', condition) INTO met;
        COMMIT;
        EXIT WHEN met;
        PERFORM pg_sleep(0.05);
    END LOOP;
    IF NOT met THEN
        RAISE EXCEPTION 'never %: %', condition, (SELECT string_agg(s::text, ' ') FROM zdm.status s WHERE s.phase NOT IN ('done', 'aborted'));
    END IF;
END $$;
-- Own WAL a second holds at any pace: what is written is paid for by a pause.
SET zdm.pace = 'full';
SET zdm.max_wal_rate = '256kB';
SET zdm.batch_time = '1ms';
SELECT zdm.change_type('t', 'v', 'bigint', name => 'm');
SELECT settings FROM zdm.migration;
CALL until($$throttled_by ~ '^own WAL [0-9.]+ [kM]B/s \(zdm.max_wal_rate 256 kB/s\)$'$$);
SELECT pg_current_wal_insert_lsn() AS wal_before, clock_timestamp() AS began \gset
SELECT pg_sleep(1);
SELECT phase, state FROM zdm.status;
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'wal_before') < 262144 * (extract(epoch FROM clock_timestamp() - :'began') + 4) AS within_budget;
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
RESET ALL;
-- Outside of its time of day a pass waits, and says until when.
SET zdm."window" = '22:00';
SET zdm."window" = '22:00-24:00';
SET zdm."window" = '22:00-22:00';
-- The worker lives in the server's time zone.
SELECT coalesce((SELECT setting FROM pg_file_settings WHERE lower(name) = 'timezone'), 'GMT') AS zone \gset
SET timezone = :'zone';
SELECT format('%s-%s', to_char(localtimestamp + interval '2 hours', 'HH24:MI'), to_char(localtimestamp + interval '3 hours', 'HH24:MI')) AS later,
       format('%s-%s', to_char(localtimestamp - interval '1 hour', 'HH24:MI'), to_char(localtimestamp + interval '1 hour', 'HH24:MI')) AS around \gset
SET zdm."window" = :'later';
SELECT zdm.change_type('t', 'v', 'numeric', name => 'at_night');
CALL until($$state = 'waiting' AND message LIKE 'outside%'$$);
SELECT phase, state, regexp_replace(message, '[0-9]+', 'N', 'g') AS message, throttled_by = message AS same, rows_done FROM zdm.status WHERE name = 'at_night';
INSERT INTO t (v) VALUES (1) RETURNING v = zdm_new_v AS in_sync;
SELECT zdm.configure('at_night', 'window', :'around');
CALL zdm.wait('at_night', 'ready', 60);
SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v;
SELECT zdm.abort('at_night');
CALL zdm.wait('at_night', 'aborted', 60);
RESET ALL;
-- Disk that must stay free: it stops before it begins, and goes on when there is room.
SET zdm.min_disk_free = '1000TB';
SELECT zdm.change_type('t', 'v', 'numeric', name => 'disk');
CALL until($$state = 'waiting' AND message LIKE 'disk%'$$);
SELECT regexp_replace(message, '[0-9.]+ [kMGT]?B (free|\(zdm)', 'N \1', 'g') AS message FROM zdm.status WHERE name = 'disk';
SELECT level, signal FROM zdm.pacing p JOIN zdm.migration m ON m.id = p.migration WHERE m.name = 'disk';
-- A pass that verifies is paced as well.
SELECT zdm.configure('disk', 'min_disk_free', '0');
CALL zdm.wait('disk', 'ready', 60);
SELECT zdm.configure('disk', 'min_disk_free', NULL);
SELECT zdm.abort('disk');
CALL zdm.wait('disk', 'aborted', 60);
RESET ALL;
-- One switch for all migrations, for the extension's owner alone.
CREATE ROLE zdm_pacing_user;
SET ROLE zdm_pacing_user;
\set VERBOSITY sqlstate
SELECT zdm.pause_all();
SELECT zdm.resume_all();
\set VERBOSITY default
RESET ROLE;
SELECT zdm.pause_all(), zdm.pause_all();
SELECT zdm.change_type('t', 'v', 'numeric', name => 'all');
SELECT pg_sleep(0.5);
SELECT phase, state, regexp_replace(message, 'by \S+', 'by somebody') AS message, next_action FROM zdm.status WHERE name = 'all';
SELECT zdm.resume_all(), zdm.resume_all();
CALL zdm.wait('all', 'ready', 60);
-- In the middle of a pass.
SELECT zdm.abort('all');
CALL zdm.wait('all', 'aborted', 60);
SET zdm.pace = '0.01';
SELECT zdm.change_type('t', 'v', 'numeric', name => 'all');
CALL until($$name = 'all' AND throttled_by = 'zdm.pace = 0.01'$$);
SELECT zdm.pause_all();
DO $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        EXIT WHEN zdm.worker_pid() IS NULL;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SELECT zdm.worker_pid() IS NULL AS worker_is_gone, state, throttled_by FROM zdm.status WHERE name = 'all' AND phase <> 'aborted';
SELECT zdm.configure('all', 'pace', 'full'), zdm.resume_all();
CALL zdm.wait('all', 'ready', 60);
SELECT event, name FROM zdm.event WHERE event LIKE '%\_all' ORDER BY id;
SELECT zdm.abort('all');
CALL zdm.wait('all', 'aborted', 60);
-- What held a pass back goes with its migration; zdm.event keeps it.
SELECT count(*) AS still_paced FROM zdm.pacing;
DROP ROLE zdm_pacing_user;
DROP PROCEDURE until;
DROP TABLE t;
DROP EXTENSION zdm CASCADE;
