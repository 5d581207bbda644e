-- drop_index: DROP INDEX CONCURRENTLY by the worker; what rests on the index is named.
CREATE EXTENSION zdm;
CREATE TABLE t (id integer PRIMARY KEY, a integer UNIQUE, b integer NOT NULL, c text);
INSERT INTO t SELECT g, g, g, 'c' || g FROM generate_series(1, 1000) g;
CREATE INDEX t_c ON t (lower(c)) WHERE b > 10;
CREATE UNIQUE INDEX t_b ON t (b);
CREATE TABLE refers (b integer REFERENCES t (b));
CREATE TABLE identified (id integer NOT NULL);
CREATE UNIQUE INDEX identified_id ON identified (id);
ALTER TABLE identified REPLICA IDENTITY USING INDEX identified_id;
BEGIN;
SELECT zdm.drop_index('t_c');
COMMIT;
CALL zdm.wait('public.t.t_c', 'done', 60);
SELECT name, kind, relation, phase, target, state, message, progress, next_action FROM zdm.status;
SELECT ordinal, phase, kind, object, description, sql, lock_mode, state FROM zdm.step ORDER BY ordinal;
SELECT to_regclass('t_c');

\set VERBOSITY terse
SELECT zdm.drop_index('t_c');
SELECT zdm.drop_index('t_pkey');
SELECT zdm.drop_index('t_a_key');
SELECT zdm.drop_index('t_b');
SELECT zdm.drop_index('identified_id');
SELECT zdm.drop_index('t');
SELECT zdm.drop_index(4294967295);
SELECT zdm.drop_index(NULL);
SELECT zdm.drop_index('pg_class_oid_index');
CREATE ROLE zdm_test_other;
CREATE INDEX t_c ON t (c);
SET ROLE zdm_test_other;
SELECT zdm.drop_index('t_c');
RESET ROLE;
DROP ROLE zdm_test_other;

-- An invalid one too, which somebody's interrupted build has left.
UPDATE t SET c = 'same' WHERE id < 3;
CREATE UNIQUE INDEX CONCURRENTLY t_c_u ON t (c);
SELECT indisvalid FROM pg_index WHERE indexrelid = 't_c_u'::regclass;
SELECT zdm.create_index('CREATE UNIQUE INDEX t_c_u ON t (c)');
-- It could not be made again, so an abort leaves what is left of it.
BEGIN;
SELECT zdm.drop_index('t_c_u', name => 'half') AS name \gset
SELECT zdm.pause(:'name');
COMMIT;
SELECT kind FROM zdm.step WHERE name = 'half';
SELECT zdm.abort('half');
CALL zdm.wait('half', 'aborted', 60);
SELECT zdm.drop_index('t_c_u');
CALL zdm.wait('public.t.t_c_u', 'done', 60);
SELECT to_regclass('t_c_u');

-- Dropped by somebody else meanwhile, and another one has its name: that one stays.
BEGIN;
SELECT zdm.drop_index('t_c') AS name \gset
SELECT zdm.pause(:'name');
COMMIT;
BEGIN;
DROP INDEX IF EXISTS t_c;
CREATE INDEX t_c ON t (c, id);
COMMIT;
SELECT zdm.resume(:'name');
CALL zdm.wait(:'name', 'done', 60);
\d t_c

-- Partitioned: the server has no CONCURRENTLY for it; under the lock policy.
CREATE TABLE p (id integer, day date) PARTITION BY RANGE (day);
CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE INDEX p_id ON p (id);
SELECT zdm.drop_index('p_1_id_idx');
SELECT zdm.drop_index('p_id');
CALL zdm.wait('public.p.p_id', 'done', 60);
SELECT kind, description, lock_mode, state FROM zdm.step WHERE name = 'public.p.p_id';
SELECT count(*) FROM pg_class WHERE relname LIKE 'p%id%' AND relkind IN ('i', 'I') AND relnamespace = 'public'::regnamespace;
-- One partition's own
CREATE INDEX p_1_own ON p_1 (id);
SELECT zdm.drop_index('p_1_own');
CALL zdm.wait('public.p_1.p_1_own', 'done', 60);
SELECT to_regclass('p_1_own');

DROP TABLE refers, t, identified, p;
DROP EXTENSION zdm;
