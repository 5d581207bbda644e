\echo Use "CREATE EXTENSION zdm" to load this file. \quit

-- The one hand-written install script: tables, functions, views, grants, in that order.
-- zdm's own tables are written by the library alone, always with fixed statements and always as the
-- extension's owner; users read them. The state of migrations is not configuration data: a restored
-- dump must not resume workers, so no table is marked for pg_dump.

------------------------------------------------------------------------------------------------
-- Tables
------------------------------------------------------------------------------------------------

CREATE TABLE migration (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL,
    kind          text NOT NULL,
    relation      oid NOT NULL,
    relation_name text NOT NULL,
    owner         oid NOT NULL,
    definition    text NOT NULL,
    phase         text NOT NULL DEFAULT 'queued' CHECK (phase IN
                    ('queued', 'expand', 'backfill', 'build', 'verify', 'ready', 'soak', 'done', 'aborted')),
    target        text NOT NULL DEFAULT 'ready' CHECK (target IN ('ready', 'soak', 'done', 'aborted')),
    state         text NOT NULL DEFAULT 'running' CHECK (state IN
                    ('running', 'waiting', 'paused', 'failed', 'idle')),
    message       text NOT NULL DEFAULT '',
    error_code    text,
    revertible    boolean NOT NULL DEFAULT true,
    evaluation    text NOT NULL DEFAULT '',
    settings      text[] NOT NULL DEFAULT '{}',
    started_xid   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    started_by    name NOT NULL DEFAULT session_user,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    soak_since    timestamptz,
    finished_at   timestamptz
);
COMMENT ON TABLE migration IS 'One row a migration: what was asked for, how far it is, how the worker fares';
COMMENT ON COLUMN migration.definition IS 'The request in canonical form; the same name with another definition is ZD005';
COMMENT ON COLUMN migration.settings IS 'name=value overrides of zdm.* settings for this migration';
COMMENT ON COLUMN migration.evaluation IS 'name=value;... of the caller, under which expressions that are not immutable are evaluated everywhere';
COMMENT ON COLUMN migration.started_xid IS 'Transaction that started it: waiting for it there would never end (ZD002)';
CREATE UNIQUE INDEX migration_unfinished ON migration (name) WHERE phase NOT IN ('done', 'aborted');
CREATE INDEX migration_name ON migration (name, id);

CREATE TABLE migrated_table (
    migration     bigint NOT NULL REFERENCES migration ON DELETE CASCADE,
    relation      oid NOT NULL,
    relation_name text NOT NULL,
    owner         oid NOT NULL,
    swap_xmin     text NOT NULL DEFAULT '',
    PRIMARY KEY (migration, relation)
);
COMMENT ON COLUMN migrated_table.swap_xmin IS 'What the last cutover has made has this xmin in the catalogs, as long as nobody changes it';
COMMENT ON TABLE migrated_table IS 'The tables that a migration changes: one, or all of a closure of keys';

CREATE TABLE mapped_column (
    migration   bigint NOT NULL REFERENCES migration ON DELETE CASCADE,
    relation    oid NOT NULL,
    side        text NOT NULL CHECK (side IN ('old', 'new')),
    ordinal     integer NOT NULL,
    name        text NOT NULL,
    soak_name   text NOT NULL,
    type        text NOT NULL,
    expression  text NOT NULL,
    total       boolean NOT NULL,
    immutable   boolean NOT NULL,
    PRIMARY KEY (migration, relation, side, ordinal)
);
COMMENT ON COLUMN mapped_column.total IS 'Whether the expression gives a value for every input: never raises an error';
COMMENT ON COLUMN mapped_column.immutable IS 'Whether it gives the same under all settings; else migration.evaluation counts';
COMMENT ON TABLE mapped_column IS 'The columns of a migration: names before and after cutover, type, and the canonical expression that fills the column from the other side';

CREATE TABLE step (
    migration       bigint NOT NULL REFERENCES migration ON DELETE CASCADE,
    name            text NOT NULL,
    ordinal         integer NOT NULL,
    phase           text NOT NULL,
    relation        oid NOT NULL DEFAULT 0,
    related         oid NOT NULL DEFAULT 0,
    kind            text NOT NULL,
    object          text NOT NULL DEFAULT '',
    description     text NOT NULL,
    sql             text NOT NULL DEFAULT '',
    lock_mode       text,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN
                      ('pending', 'running', 'waiting', 'done', 'failed', 'undone')),
    attempts        integer NOT NULL DEFAULT 0,
    started_at      timestamptz,
    finished_at     timestamptz,
    error           text,
    longest_wait_ms double precision NOT NULL DEFAULT 0,
    longest_hold_ms double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (migration, ordinal)
);
COMMENT ON TABLE step IS 'The plan of each migration, one row a step, in order';
COMMENT ON COLUMN step.relation IS 'The table that it works on; 0 = all tables of the migration';
COMMENT ON COLUMN step.related IS 'Another table that it locks as well (the other end of a foreign key); 0 = none';
COMMENT ON COLUMN step.longest_wait_ms IS 'Longest that one attempt queued for a strong lock';
COMMENT ON COLUMN step.longest_hold_ms IS 'Longest that a strong lock was held';

CREATE TABLE carried (
    migration         bigint NOT NULL REFERENCES migration ON DELETE CASCADE,
    relation          oid NOT NULL,
    ordinal           integer NOT NULL,
    carrier           text NOT NULL,
    object            text NOT NULL,
    shadow            text NOT NULL DEFAULT '',
    definition        text NOT NULL DEFAULT '',
    shadow_definition text NOT NULL DEFAULT '',
    keep_old          boolean NOT NULL DEFAULT true,
    related           oid NOT NULL DEFAULT 0,
    columns           text NOT NULL DEFAULT '',
    parent            text NOT NULL DEFAULT '',
    timing            text NOT NULL DEFAULT '',
    PRIMARY KEY (migration, relation, ordinal)
);
COMMENT ON COLUMN carried.parent IS 'The index of the parent table that a partition''s index belongs to, behind the OID of that table';
COMMENT ON COLUMN carried.timing IS 'Of a deferrable key: what stands behind its columns';
COMMENT ON COLUMN carried.columns IS 'Numbers of the columns that it reads, to see when another migration has exchanged them';
COMMENT ON COLUMN carried.related IS 'Another relation that cutover locks because of it; 0 = none';
COMMENT ON COLUMN carried.keep_old IS 'Whether the old column''s own stays during soak; one that could fail a write does not';
COMMENT ON TABLE carried IS 'What hangs on the old columns and comes along at cutover: its name, the name of its counterpart until then, both definitions';

CREATE TABLE scan (
    number        integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    migration     bigint NOT NULL REFERENCES migration ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('backfill', 'verify')),
    root          oid NOT NULL,
    relation      oid NOT NULL,
    relation_name text NOT NULL,
    relfilenode   oid NOT NULL,
    first_block   bigint NOT NULL DEFAULT 0,
    next_block    bigint NOT NULL DEFAULT 0,
    blocks        bigint NOT NULL,
    busy_blocks   bigint[] NOT NULL DEFAULT '{}',
    rows_done     bigint NOT NULL DEFAULT 0,
    rows_hot      bigint NOT NULL DEFAULT 0,
    rows_moved    bigint NOT NULL DEFAULT 0,
    rows_vacuumed bigint NOT NULL DEFAULT 0,
    discrepancies bigint NOT NULL DEFAULT 0,
    lost_with_old bigint NOT NULL DEFAULT 0,
    lost_with_new bigint NOT NULL DEFAULT 0,
    rows_total    bigint NOT NULL DEFAULT 0,
    busy_seconds  double precision NOT NULL DEFAULT 0,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    done          boolean NOT NULL DEFAULT false,
    sync_trigger  text,
    PRIMARY KEY (migration, kind, relation, first_block)
);
COMMENT ON COLUMN scan.number IS 'Who works on it has claimed it: zdm.claim';
COMMENT ON COLUMN scan.first_block IS 'A heap may be divided among workers: of the range that ends before blocks';
COMMENT ON COLUMN scan.lost_with_old IS 'Of the discrepancies, the rows that would lose something with the old side (contract)';
COMMENT ON COLUMN scan.lost_with_new IS 'Of the discrepancies, the rows that would lose something with the new side (revert)';
COMMENT ON COLUMN scan.rows_vacuumed IS 'Of all rows_moved of the heap, those that were before its last VACUUM';
COMMENT ON COLUMN scan.sync_trigger IS 'The heap''s sync trigger (OID and xmin): another one since means that rows may have been written without it';
COMMENT ON COLUMN scan.root IS 'The table of the migration that this heap belongs to';
COMMENT ON TABLE scan IS 'Cursor and counters of a pass over one heap (a plain table or a leaf partition) or a range of its blocks; committed with the rows';

CREATE TABLE pacing (
    migration    bigint PRIMARY KEY REFERENCES migration ON DELETE CASCADE,
    duty         double precision NOT NULL,
    level        text NOT NULL CHECK (level IN ('none', 'slow', 'stop')),
    signal       text NOT NULL,
    throttled_by text NOT NULL,
    unreadable   text NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pacing IS 'How fast the pass of a migration goes, and which signal holds it back; written when that changes';
COMMENT ON COLUMN pacing.duty IS 'Share of the time that it works';
COMMENT ON COLUMN pacing.unreadable IS 'Signals that cannot be read, and why; they hold nothing back';

CREATE TABLE global_pause (
    only_one  boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    paused_by name NOT NULL DEFAULT session_user
);
COMMENT ON TABLE global_pause IS 'While its one row is there the worker does nothing: pause_all';

CREATE TABLE discrepancy (
    migration      bigint NOT NULL REFERENCES migration ON DELETE CASCADE,
    name           text NOT NULL,
    found_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    relation       oid NOT NULL,
    key            jsonb NOT NULL,
    class          text NOT NULL CHECK (class IN ('missing', 'stale', 'spurious', 'error', 'reverse')),
    old_value      text,
    expected_value text,
    actual_value   text,
    resolved_at    timestamptz
);
ALTER TABLE discrepancy REPLICA IDENTITY FULL;  -- it may be published (FOR ALL TABLES), and rows are updated
COMMENT ON TABLE discrepancy IS 'Rows whose old and new sides are not consistent; user data: only the table''s owner sees it';
CREATE INDEX discrepancy_open ON discrepancy (migration) WHERE resolved_at IS NULL;

-- Written by the sync trigger within the application's transaction: no index and no foreign key, which would cost that
-- more. It may be published (FOR ALL TABLES), and rows are deleted.
CREATE TABLE unsynced_write (
    migration  bigint NOT NULL,
    relation   oid NOT NULL,
    -- The new side alone could not be filled. False: neither was looked at.
    old_has_it boolean NOT NULL
);
ALTER TABLE unsynced_write REPLICA IDENTITY FULL;
COMMENT ON TABLE unsynced_write IS 'Notes of the sync trigger that a row was written whose new side it could not fill; a pass of verify from after that finds it';

CREATE TABLE event (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    migration bigint,
    name      text NOT NULL,
    event     text NOT NULL,
    phase     text NOT NULL,
    detail    jsonb NOT NULL DEFAULT '{}',
    role      name NOT NULL DEFAULT session_user
);
COMMENT ON TABLE event IS 'What happened, when and by whom; NOTIFY zdm carries the same as JSON';
CREATE INDEX event_migration ON event (migration, id);

------------------------------------------------------------------------------------------------
-- Start
------------------------------------------------------------------------------------------------

CREATE FUNCTION change_type(relation regclass, column_name text, new_type text,
                            forward text DEFAULT NULL, reverse text DEFAULT NULL,
                            "cascade" boolean DEFAULT true, name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_change_type';
COMMENT ON FUNCTION change_type IS 'Changes a live column''s type in the background';

CREATE FUNCTION rename_column(relation regclass, column_name text, new_name text,
                              name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_rename_column';
COMMENT ON FUNCTION rename_column IS 'Renames a live column: both names work from expand until contract';

CREATE FUNCTION replace_columns(relation regclass, old_columns text[], new_columns text[],
                                forward text[], reverse text[] DEFAULT NULL,
                                name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_replace_columns';
COMMENT ON FUNCTION replace_columns IS 'Replaces columns by others that are computed from them';

CREATE FUNCTION add_column(relation regclass, column_name text, column_type text, value text DEFAULT NULL,
                           not_null boolean DEFAULT false, column_default text DEFAULT NULL,
                           name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_add_column';
COMMENT ON FUNCTION add_column IS 'Adds a column, filled and NOT NULL where it is asked for, beside the writes';

CREATE FUNCTION set_not_null(relation regclass, column_name text, value text DEFAULT NULL,
                             name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_set_not_null';
COMMENT ON FUNCTION set_not_null IS 'Makes a column NOT NULL, with a value for what is NULL; no row is read under lock';

CREATE FUNCTION drop_column(relation regclass, column_name text, name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_drop_column';
COMMENT ON FUNCTION drop_column IS 'Hides a column at cutover, drops it at contract; in between there is a way back';

CREATE FUNCTION split_table(relation regclass, new_table text, columns text[], name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_split_table';
COMMENT ON FUNCTION split_table IS 'Moves columns into a table of their own, with the same key; both are kept equal until contract';

CREATE FUNCTION add_constraint(relation regclass, constraint_name text, definition text,
                               name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_add_constraint';
COMMENT ON FUNCTION add_constraint IS 'Adds any table constraint; every row is checked beside the writes';

CREATE FUNCTION create_index(definition text, name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_create_index';
COMMENT ON FUNCTION create_index IS 'Any CREATE INDEX statement, built beside the writes in the background';

CREATE FUNCTION drop_index(index regclass, name text DEFAULT NULL)
RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_drop_index';
COMMENT ON FUNCTION drop_index IS 'Drops an index beside the writes in the background';

------------------------------------------------------------------------------------------------
-- Steer
------------------------------------------------------------------------------------------------

CREATE FUNCTION cutover(name text) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_cutover';
COMMENT ON FUNCTION cutover(text) IS 'Sets the target to soak: the new shape takes over';

CREATE FUNCTION revert(name text) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_revert';
COMMENT ON FUNCTION revert(text) IS 'Sets the target back to ready: the old shape takes over again, nothing written since is lost';

CREATE FUNCTION contract(name text, force boolean DEFAULT false) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_contract';
COMMENT ON FUNCTION contract(text, boolean) IS 'Sets the target to done: the old shape is dropped';

CREATE FUNCTION abort(name text) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_abort';
COMMENT ON FUNCTION abort(text) IS 'Sets the target to aborted: the table as it was';

CREATE FUNCTION pause(name text) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_pause';
COMMENT ON FUNCTION pause(text) IS 'Stops the worker on this migration; writes stay in sync';

CREATE FUNCTION resume(name text) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_resume';
COMMENT ON FUNCTION resume(text) IS 'Goes on after pause, or tries again after a failure';

CREATE FUNCTION configure(name text, setting text, value text) RETURNS text
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_configure';
COMMENT ON FUNCTION configure(text, text, text) IS 'Overrides a zdm.* setting for this migration from the next batch on; NULL takes the override off';

CREATE PROCEDURE wait(name text, phase text DEFAULT 'ready', timeout_seconds integer DEFAULT NULL)
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_wait';
COMMENT ON PROCEDURE wait(text, text, integer) IS 'Returns when the migration has reached the phase; commits between polls';

CREATE FUNCTION wake() RETURNS integer
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'zdm_wake';
COMMENT ON FUNCTION wake() IS 'Makes sure that this database''s worker runs; returns the number of unfinished migrations';

CREATE FUNCTION pause_all() RETURNS integer
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'zdm_pause_all';
COMMENT ON FUNCTION pause_all() IS 'Stops the worker on all migrations of this database; writes stay in sync; returns the number of unfinished migrations. For the extension''s owner';

CREATE FUNCTION resume_all() RETURNS integer
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'zdm_resume_all';
COMMENT ON FUNCTION resume_all() IS 'Goes on after pause_all; a migration that was paused by itself stays so; returns the number of unfinished migrations';

------------------------------------------------------------------------------------------------
-- Look
------------------------------------------------------------------------------------------------

CREATE FUNCTION verify(name text) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_verify';
COMMENT ON FUNCTION verify(text) IS 'A full pass now, in this session: the number of discrepancies, logged in zdm.discrepancy';

CREATE FUNCTION repair(name text) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_repair';
COMMENT ON FUNCTION repair(text) IS 'Makes the logged rows equal again in the direction that the phase trusts; returns how many';

CREATE FUNCTION assert_ready(name text) RETURNS boolean
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_assert_ready';
COMMENT ON FUNCTION assert_ready(text) IS 'True, or error ZD001: the gate for a deploy script';

-- Sizes are known, speeds are not: the database's own earlier passes where there are any, else what a small server
-- does. Good for telling seconds from hours.
CREATE FUNCTION published(relation oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('the table is published (%s): a subscriber without the new column stops; add it there first',
                  string_agg(quote_ident(u.pubname), ', ' ORDER BY u.pubname))
      FROM (SELECT DISTINCT b.pubname FROM pg_publication b
             CROSS JOIN LATERAL pg_get_publication_tables(b.pubname) r
             WHERE (r.relid = $1 OR r.relid IN (SELECT relid FROM pg_partition_tree($1::regclass)))
               -- A list of columns has not the new one.
               AND NOT EXISTS (SELECT FROM pg_publication_rel l WHERE l.prpubid = b.oid AND l.prrelid = r.relid AND l.prattrs IS NOT NULL)) u
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION published(oid) IS 'What is to be done on subscribers before the table gets a column; NULL where it is not published';

CREATE FUNCTION planned_steps(migration bigint)
RETURNS TABLE (ordinal integer, step text, description text, sql text, lock_mode text, blocks text,
               estimated_seconds double precision, estimated_bytes bigint, warning text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH speed AS (
        SELECT coalesce(sum((s.blocks - s.first_block) * 8192.0) FILTER (WHERE s.kind = 'backfill' AND s.done) / nullif(sum(s.busy_seconds) FILTER (WHERE s.kind = 'backfill' AND s.done), 0), 20e6) AS backfill,
               coalesce(sum((s.blocks - s.first_block) * 8192.0) FILTER (WHERE s.kind = 'verify' AND s.done) / nullif(sum(s.busy_seconds) FILTER (WHERE s.kind = 'verify' AND s.done), 0), 200e6) AS scan,
               40e6 AS index_build
          FROM zdm.scan s),
    planned AS (
        SELECT s.*, m.revertible, t.oid AS target, h.bytes, h.rows
          FROM zdm.step s JOIN zdm.migration m ON m.id = s.migration
          LEFT JOIN pg_class t ON t.oid = CASE WHEN s.relation = 0 THEN m.relation ELSE s.relation END
          LEFT JOIN LATERAL (
               SELECT sum(pg_relation_size(c.oid)) AS bytes, sum(greatest(c.reltuples, 0)) AS rows
                 FROM pg_class c
                WHERE c.relkind = 'r' AND c.oid = ANY (ARRAY(SELECT t.oid UNION SELECT p.relid FROM pg_partition_tree(t.oid::regclass) p))) h ON true
         WHERE s.migration = $1)
    SELECT p.ordinal, p.kind, p.description, p.sql, p.lock_mode,
           CASE WHEN p.lock_mode = 'ACCESS EXCLUSIVE' THEN 'reads and writes'
                WHEN p.lock_mode IN ('SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE') THEN 'writes'
                ELSE 'nothing' END,
           CASE WHEN p.kind IN ('backfill', 'split_backfill') THEN p.bytes / v.backfill
                WHEN p.kind IN ('verify', 'split_verify', 'validate_constraint') THEN p.bytes / v.scan
                WHEN p.kind LIKE '%index' AND p.kind NOT LIKE 'drop%' THEN p.bytes / v.index_build
                ELSE 0.05 END::float8,
           CASE WHEN p.kind IN ('backfill', 'split_backfill') THEN greatest(p.bytes / 10, p.rows * 8)
                WHEN p.kind LIKE '%index' AND p.kind NOT LIKE 'drop%' THEN p.rows * 30
                ELSE 0 END::bigint,
           nullif(concat_ws('; ',
               CASE WHEN p.kind = 'expand' THEN zdm.published(p.target) END,
               CASE WHEN p.kind LIKE '%index' THEN (
                    SELECT format('waits for older transactions to end: the oldest runs for %s s', round(extract(epoch FROM clock_timestamp() - min(a.xact_start))))
                      FROM pg_stat_activity a WHERE a.xact_start < clock_timestamp() - interval '1 minute' AND a.pid <> pg_backend_pid()
                    HAVING count(*) > 0) END,
               CASE WHEN p.kind = 'swap' AND NOT p.revertible THEN
                    'values written after cutover have no way back: give reverse' END,
               CASE WHEN p.kind = 'contract' THEN 'cannot be reverted' END), '')
      FROM planned p CROSS JOIN speed v ORDER BY p.ordinal
$$;
COMMENT ON FUNCTION planned_steps(bigint) IS 'The steps of a migration, with what they block and about how long they take';

-- The call is made, and its traces are rolled back with a subtransaction; under the caller's own search_path and rights.
CREATE FUNCTION plan(command text)
RETURNS TABLE (ordinal integer, step text, description text, sql text, lock_mode text, blocks text,
               estimated_seconds double precision, estimated_bytes bigint, warning text)
LANGUAGE plpgsql
AS $$
DECLARE
    started text;
    planned pg_catalog.jsonb;
BEGIN
    IF pg_catalog.regexp_match(command, '^\s*select\s+(\*\s+from\s+)?zdm\s*\.\s*(change_type|rename_column|replace_columns|add_column|set_not_null|add_constraint|create_index|drop_index|split_table|drop_column)\s*\(', 'i') IS NULL THEN
        RAISE EXCEPTION 'zdm: plan takes a call that starts a migration, as SELECT zdm.change_type(...), and not: %', pg_catalog.left(command, 100)
            USING ERRCODE = 'feature_not_supported';
    END IF;
    BEGIN
        PERFORM pg_catalog.set_config('zdm.mode', 'online', true);
        EXECUTE command INTO started;
        SELECT pg_catalog.jsonb_agg(s) INTO planned
          FROM (SELECT m.id FROM zdm.migration m WHERE m.name OPERATOR(pg_catalog.=) started ORDER BY m.id DESC LIMIT 1) AS latest
         CROSS JOIN LATERAL zdm.planned_steps(latest.id) AS s;
        RAISE EXCEPTION USING ERRCODE = 'ZDPLN', MESSAGE = 'zdm: not to be kept';
    EXCEPTION WHEN SQLSTATE 'ZDPLN' THEN
        NULL;
    END;
    RETURN QUERY SELECT p.* FROM pg_catalog.jsonb_to_recordset(planned) AS p(
        ordinal integer, step text, description text, sql text, lock_mode text, blocks text,
        estimated_seconds double precision, estimated_bytes bigint, warning text);
END
$$;
COMMENT ON FUNCTION plan(text) IS 'Every step of a call that starts a migration, without doing any';

CREATE VIEW claim AS
SELECT (ARRAY['worker', 'long statement', 'scan'])[l.objsubid] AS what, l.objid::bigint AS number, l.pid
  FROM pg_catalog.pg_locks l
 WHERE l.locktype = 'object' AND l.granted AND l.objsubid BETWEEN 1 AND 3
   AND l.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
COMMENT ON VIEW claim IS 'What the processes of this database''s worker have for themselves: locks that no SQL command can take';

CREATE FUNCTION worker_pid() RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT pid FROM zdm.claim WHERE what = 'worker' LIMIT 1 $$;
COMMENT ON FUNCTION worker_pid() IS 'Process id of this database''s worker, NULL where none runs';

------------------------------------------------------------------------------------------------
-- Sync trigger
------------------------------------------------------------------------------------------------

CREATE FUNCTION sync() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_sync';
COMMENT ON FUNCTION sync() IS 'Keeps the old and the new columns of a row equal; its arguments say how';

CREATE FUNCTION mirror() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'zdm_mirror';
COMMENT ON FUNCTION mirror() IS 'Keeps the two tables of a split equal; its arguments say how';

------------------------------------------------------------------------------------------------
-- Views
------------------------------------------------------------------------------------------------

-- Counts only, so that everybody may know how many there are.
CREATE VIEW open_discrepancies AS
SELECT migration FROM zdm.discrepancy WHERE resolved_at IS NULL;
COMMENT ON VIEW open_discrepancies IS 'One row an unresolved discrepancy, without its data';

-- The server shows what a superuser's process is building to superusers only; that it is an index of
-- zdm's is no secret.
CREATE FUNCTION build_progress() RETURNS TABLE (root oid, message text, progress double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(pg_partition_root(p.relid)::oid, p.relid),
           format('builds %s: %s%s%s', coalesce(nullif(p.index_relid, 0)::regclass::text, 'an index'), p.phase,
                  CASE WHEN p.blocks_total > 0 THEN format(', %s of %s blocks', p.blocks_done, p.blocks_total)
                       WHEN p.tuples_total > 0 THEN format(', %s of %s rows', p.tuples_done, p.tuples_total)
                       ELSE '' END,
                  CASE WHEN p.current_locker_pid > 0 THEN format(' (pid %s)', p.current_locker_pid) ELSE '' END),
           CASE WHEN p.phase LIKE 'building index%' THEN 0.6 * w.share
                WHEN p.phase LIKE 'waiting for writers before validation%' THEN 0.6
                WHEN p.phase LIKE 'index validation: scanning index%' THEN 0.6 + 0.1 * w.share
                WHEN p.phase LIKE 'index validation: sorting%' THEN 0.7 + 0.1 * w.share
                WHEN p.phase LIKE 'index validation: scanning table%' THEN 0.8 + 0.15 * w.share
                WHEN p.phase LIKE 'waiting for old snapshots%' THEN 0.95
                ELSE 0 END
      FROM pg_stat_progress_create_index p
      CROSS JOIN LATERAL (SELECT coalesce(p.blocks_done::float8 / nullif(p.blocks_total, 0),
                                          p.tuples_done::float8 / nullif(p.tuples_total, 0), 0) AS share) w
     WHERE p.pid = zdm.worker_pid() AND p.datname = current_database()
$$;
COMMENT ON FUNCTION build_progress() IS 'How far the index is that the worker builds at this moment; no row where it builds none';

CREATE VIEW status_now AS
SELECT v.name, v.kind, v.relation, v.phase, v.target, v.state, v.message,
       v.progress,
       repeat('#', floor(v.progress * 20)::integer) || repeat('.', 20 - floor(v.progress * 20)::integer) AS bar,
       v.rows_done, v.rows_total, v.rows_per_second,
       CASE WHEN v.progress > 0 AND v.progress < 1
            THEN v.busy_seconds / v.progress * (1 - v.progress) END AS eta_seconds,
       v.throttled_by,
       v.discrepancies, v.revertible,
       CASE
           WHEN v.phase = 'done' THEN 'nothing: finished'
           WHEN v.phase = 'aborted' THEN 'nothing: the table is as it was'
           WHEN v.paused_all THEN 'SELECT zdm.resume_all()'
           WHEN v.state = 'paused' THEN format('SELECT zdm.resume(%L)', v.name)
           WHEN v.state = 'failed' THEN format('mend what the message says, then SELECT zdm.resume(%L)%s', v.name,
                CASE WHEN v.phase <> 'soak' THEN format(' or SELECT zdm.abort(%L)', v.name) ELSE '' END)
           WHEN v.worker IS NULL AND v.phase <> v.target THEN 'SELECT zdm.wake()'
           WHEN v.phase <> v.target THEN format('wait: CALL zdm.wait(%L, %L)', v.name, v.target)
           WHEN v.phase = 'ready' AND v.discrepancies > 0 THEN format('SELECT zdm.repair(%L), then zdm.verify must find none', v.name)
           WHEN v.phase = 'ready' THEN format('SELECT zdm.cutover(%L)', v.name)
           WHEN v.phase = 'soak' THEN format('SELECT zdm.contract(%L), or SELECT zdm.revert(%L) to go back', v.name, v.name)
       END AS next_action,
       v.started_at, v.updated_at
  FROM (
    SELECT m.id, m.name, m.kind,
           -- As the table is called now; one that is gone, as it was called at start.
           coalesce((SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE c.oid = m.relation AND c.relpersistence <> 't'), m.relation_name) AS relation, m.phase, m.target, m.revertible,
           m.started_at, w.pid AS worker,
           m.phase <> m.target AND m.state IN ('running', 'waiting') AND g.paused_by IS NOT NULL AS paused_all,
           CASE WHEN m.phase <> m.target AND m.state IN ('running', 'waiting') AND g.paused_by IS NOT NULL
                THEN 'paused'
                WHEN m.phase <> m.target AND m.state IN ('running', 'waiting') AND w.pid IS NULL
                THEN 'waiting' ELSE m.state END AS state,
           CASE WHEN m.phase <> m.target AND m.state IN ('running', 'waiting') AND g.paused_by IS NOT NULL
                THEN format('all migrations are paused by %I (zdm.pause_all); writes stay in sync', g.paused_by)
                WHEN m.phase <> m.target AND m.state IN ('running', 'waiting') AND w.pid IS NULL
                THEN CASE WHEN pg_is_in_recovery()
                          THEN 'this is a standby: the worker starts after promotion (with preload at once, else on SELECT zdm.wake())'
                          ELSE format('no worker runs in this database: it is starting, or every background worker slot is taken (max_worker_processes = %s); SELECT zdm.wake() tries again',
                                      current_setting('max_worker_processes'))
                     END
                ELSE concat_ws('; ', nullif(coalesce(b.message, m.message), ''),
                     CASE WHEN m.phase NOT IN ('done', 'aborted')
                           AND EXISTS (SELECT FROM pg_publication)
                           AND EXISTS (SELECT FROM zdm.step i WHERE i.migration = m.id AND i.kind = 'expand')
                           AND EXISTS (SELECT FROM pg_class c WHERE c.oid = m.relation)
                          THEN zdm.published(m.relation) END) END AS message,
           CASE WHEN m.phase IN ('ready', 'soak', 'done') THEN 1.0::float8
                WHEN s.blocks > 0 THEN s.finished_blocks / s.blocks ELSE coalesce((
                     SELECT (count(*) FILTER (WHERE i.state = 'done') + coalesce(b.progress, 0)) / nullif(count(*), 0)
                       FROM zdm.step i WHERE i.migration = m.id AND i.kind = 'build_index'), 0.0) END AS progress,
           coalesce(s.rows_done, 0)::bigint AS rows_done,
           coalesce(s.rows_total, 0)::bigint AS rows_total,
           CASE WHEN s.busy_seconds > 0 THEN s.rows_done / s.busy_seconds ELSE 0 END::float8 AS rows_per_second,
           s.busy_seconds,
           CASE WHEN m.phase <> m.target AND m.state IN ('running', 'waiting') AND w.pid IS NOT NULL AND g.paused_by IS NULL AND NOT s.done
                THEN nullif(concat_ws('; ', nullif(p.throttled_by, ''), 'cannot read ' || nullif(p.unreadable, '')), '')
           END AS throttled_by,
           (SELECT count(*) FROM zdm.open_discrepancies d WHERE d.migration = m.id) AS discrepancies,
           greatest(m.updated_at, s.updated_at) AS updated_at
      FROM zdm.migration m
      CROSS JOIN (SELECT zdm.worker_pid() AS pid) w
      LEFT JOIN zdm.build_progress() b
        ON EXISTS (SELECT FROM zdm.migrated_table t WHERE t.migration = m.id AND b.root IN (t.relation, pg_partition_root(t.relation)))
       AND EXISTS (SELECT FROM zdm.step i WHERE i.migration = m.id AND i.state = 'running' AND i.kind IN ('build_index', 'create_index', 'build_part_index'))
      LEFT JOIN zdm.global_pause g ON true
      LEFT JOIN zdm.pacing p ON p.migration = m.id
      LEFT JOIN (
           -- At work at the same time, so that speeds add up: a scan's seconds are those of one process.
           SELECT c.migration, count(*) AS processes
             FROM zdm.claim l JOIN zdm.scan c ON c.number = l.number AND NOT c.done
            WHERE l.what = 'scan'
            GROUP BY c.migration) a ON a.migration = m.id
      LEFT JOIN LATERAL (
           -- The pass that is running: verify once it has begun, else backfill. Exact in blocks.
           SELECT sum(c.blocks - c.first_block)::float8 AS blocks,
                  sum(CASE WHEN c.done THEN c.blocks ELSE c.next_block END - c.first_block)::float8 AS finished_blocks,
                  sum(c.rows_done)::float8 AS rows_done,
                  -- By blocks, which are known, and not by statistics, except in the beginning.
                  sum(CASE WHEN c.done THEN c.rows_done
                           WHEN (c.next_block - c.first_block) * 20 > c.blocks - c.first_block
                           THEN c.rows_done * (c.blocks - c.first_block) / (c.next_block - c.first_block)
                           ELSE greatest(c.rows_total, c.rows_done) END)::float8 AS rows_total,
                  sum(c.busy_seconds) / greatest(a.processes, 1) AS busy_seconds,
                  bool_and(c.done) AS done,
                  max(c.updated_at) AS updated_at
             FROM zdm.scan c
            WHERE c.migration = m.id
              AND c.kind = CASE WHEN m.phase IN ('queued', 'expand', 'backfill', 'build') THEN 'backfill' ELSE 'verify' END
      ) s ON true
  ) v
 ORDER BY v.id;
COMMENT ON VIEW status_now IS 'What zdm.status shows';

-- Tables that are all but empty look large to the planner; compiling the query for them would take a hundred times as long
-- as its few rows, and exporters ask every few seconds.
CREATE FUNCTION read_status() RETURNS SETOF status_now LANGUAGE sql STABLE ROWS 10 SET jit = off
    AS 'SELECT * FROM zdm.status_now';

CREATE VIEW status AS SELECT * FROM read_status();
COMMENT ON VIEW status IS 'What is happening, why it is slow, what to do next';

CREATE VIEW metrics AS
SELECT coalesce(m.name, '') AS name,
       coalesce(m.kind, '') AS kind,
       coalesce(m.relation, '') AS relation,
       coalesce(m.phase, '') AS phase,
       coalesce(m.state, '') AS state,
       (w.pid IS NOT NULL)::integer::bigint AS worker_up,
       (SELECT count(*) FROM zdm.migration u WHERE u.phase NOT IN ('done', 'aborted')) AS migrations_unfinished,
       (SELECT count(*) FROM zdm.migration u WHERE u.state = 'failed') AS migrations_failed,
       coalesce(m.progress, 0)::float8 AS progress_ratio,
       coalesce(m.rows_done, 0)::bigint AS rows_done,
       coalesce(m.rows_total, 0)::bigint AS rows_total,
       coalesce(m.rows_per_second, 0)::float8 AS rows_per_second,
       coalesce(m.eta_seconds, 0)::float8 AS eta_seconds,
       coalesce(m.discrepancies, 0)::bigint AS discrepancies,
       coalesce(extract(epoch FROM clock_timestamp() - m.started_at), 0)::float8 AS age_seconds,
       coalesce(extract(epoch FROM clock_timestamp() - m.updated_at), 0)::float8 AS since_update_seconds
  FROM (SELECT zdm.worker_pid() AS pid) w
  LEFT JOIN zdm.status m ON m.phase NOT IN ('done', 'aborted');
COMMENT ON VIEW metrics IS 'For exporters: text labels, bigint and float8 gauges, always at least one row';

------------------------------------------------------------------------------------------------
-- Grants: everybody may call everything (the checks are inside) and read all but user data
------------------------------------------------------------------------------------------------

ALTER TABLE discrepancy ENABLE ROW LEVEL SECURITY;
CREATE POLICY table_owner ON discrepancy FOR SELECT
    USING ((SELECT bool_and(pg_has_role(coalesce(c.relowner, t.owner), 'USAGE'))
              FROM zdm.migrated_table t LEFT JOIN pg_class c ON c.oid = t.relation
             WHERE t.migration = discrepancy.migration));

GRANT USAGE ON SCHEMA zdm TO PUBLIC;
GRANT SELECT ON migration, migrated_table, mapped_column, step, carried, scan, pacing, global_pause, unsynced_write, event, discrepancy, open_discrepancies, claim, status_now, status, metrics TO PUBLIC;
