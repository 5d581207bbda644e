-- create_index: any CREATE INDEX statement, called from any transaction, built beside the writes.
CREATE EXTENSION zdm;
CREATE SCHEMA app;
CREATE TABLE app.item (id integer PRIMARY KEY, code text, price numeric, note text, size integer);
INSERT INTO app.item SELECT g, 'code ' || g, g % 100, 'note', g % 7 FROM generate_series(1, 1000) g;
CREATE FUNCTION app.twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
SET search_path = app, zdm, public;

BEGIN;
SELECT zdm.create_index('CREATE INDEX item_price ON item (price DESC, id)');
-- The file's transaction may stay open; nothing has happened to the table yet.
INSERT INTO item VALUES (1001, 'x', 1, 'y', 1);
COMMIT;
CALL zdm.wait('app.item.item_price', 'done', 60);
SELECT name, kind, relation, phase, target, state, message, progress, next_action FROM zdm.status;
SELECT ordinal, phase, kind, object, description, sql, lock_mode, state FROM zdm.step ORDER BY ordinal;

-- Called again it is already so; under the same name something else is refused.
SELECT zdm.create_index('CREATE INDEX item_price ON app.item USING btree (price DESC NULLS FIRST, id)');
SELECT count(*) FROM zdm.migration;
\set VERBOSITY terse
SELECT zdm.create_index('CREATE INDEX item_price ON item (price)');
SELECT zdm.create_index('CREATE INDEX IF NOT EXISTS item_price ON item (price)', name => 'if not exists');
CALL zdm.wait('if not exists', 'done', 60);

-- Without a name the server's own choice; and all that CREATE INDEX knows.
SELECT zdm.create_index('CREATE UNIQUE INDEX CONCURRENTLY ON item (lower(code), twice(size)) INCLUDE (note, price) NULLS NOT DISTINCT WITH (fillfactor = 70) WHERE size > 3 AND twice(size) > 0');
CALL zdm.wait('app.item.item_lower_twice_note_price_idx', 'done', 60);
SELECT zdm.create_index('CREATE UNIQUE INDEX ON item (lower(code), twice(size)) INCLUDE (note, price) NULLS NOT DISTINCT WITH (fillfactor = 70) WHERE size > 3 AND twice(size) > 0');
SELECT zdm.create_index('CREATE INDEX ON item (code text_pattern_ops, note COLLATE "C" DESC NULLS LAST, size NULLS FIRST)', name => 'opclass');
SELECT zdm.create_index('CREATE INDEX item_hash ON item USING hash (code)');
SELECT zdm.create_index('CREATE INDEX "Item ""Brin""" ON item USING brin (id int4_minmax_multi_ops (values_per_range = 16)) TABLESPACE pg_default');
CALL zdm.wait('opclass', 'done', 60);
CALL zdm.wait('app.item.item_hash', 'done', 60);
CALL zdm.wait('app.item.Item "Brin"', 'done', 60);
-- The same by plain DDL
CREATE TABLE public.item (LIKE app.item INCLUDING CONSTRAINTS, PRIMARY KEY (id));
CREATE INDEX item_price ON public.item (price DESC, id);
CREATE UNIQUE INDEX ON public.item (lower(code), twice(size)) INCLUDE (note, price) NULLS NOT DISTINCT WITH (fillfactor = 70) WHERE size > 3 AND twice(size) > 0;
CREATE INDEX ON public.item (code text_pattern_ops, note COLLATE "C" DESC NULLS LAST, size NULLS FIRST);
CREATE INDEX item_hash ON public.item USING hash (code);
CREATE INDEX "Item ""Brin""" ON public.item USING brin (id int4_minmax_multi_ops (values_per_range = 16));
SELECT definition, count(*) AS tables, bool_and(indisvalid) AS valid
  FROM (SELECT regexp_replace(pg_get_indexdef(indexrelid), ' ON \w+\.', ' ON ') COLLATE "C" AS definition, indisvalid
          FROM pg_index WHERE indrelid IN ('app.item'::regclass, 'public.item'::regclass)) i
 GROUP BY definition ORDER BY definition;

-- Refused at once
SELECT zdm.create_index('CREATE INDEX ON nowhere (a)');
SELECT zdm.create_index('CREATE INDEX x ON item (nothing)');
SELECT zdm.create_index('CREATE INDEX x ON item (code no_such_ops)');
SELECT zdm.create_index('CREATE INDEX x ON item (random())');
SELECT zdm.create_index('CREATE INDEX x ON item (size) WHERE now() > ''2020-01-01''');
SELECT zdm.create_index('CREATE UNIQUE INDEX x ON item USING hash (size)');
SELECT zdm.create_index('CREATE INDEX x ON item (size) WITH (nonsense = 1)');
SELECT zdm.create_index('CREATE INDEX x ON item (size) TABLESPACE nowhere');
SELECT zdm.create_index('CREATE INDEX x ON item (size); DROP TABLE item');
SELECT zdm.create_index('CREATE INDEX');
SELECT zdm.create_index('SELECT 1');
SELECT zdm.create_index(NULL);
CREATE VIEW v AS SELECT * FROM item;
SELECT zdm.create_index('CREATE INDEX x ON v (size)');
CREATE ROLE zdm_test_other;
GRANT USAGE ON SCHEMA app TO zdm_test_other;
SET ROLE zdm_test_other;
SELECT zdm.create_index('CREATE INDEX x ON app.item (size)');
RESET ROLE;
REVOKE USAGE ON SCHEMA app FROM zdm_test_other;
DROP ROLE zdm_test_other;

-- Duplicates: nothing invalid stays, and after they are mended it goes on.
SELECT zdm.create_index('CREATE UNIQUE INDEX item_code ON item (code) WHERE id < 900');
UPDATE item SET code = 'code 7' WHERE id IN (8, 9);
SELECT zdm.create_index('CREATE UNIQUE INDEX item_code_2 ON item (code)');
CALL zdm.wait('app.item.item_code', 'done', 60);
CALL zdm.wait('app.item.item_code_2', 'done', 60);
\echo :LAST_ERROR_SQLSTATE
SELECT state, discrepancies, next_action FROM zdm.status WHERE name = 'app.item.item_code_2';
SELECT key, class, expected_value, actual_value FROM zdm.discrepancy WHERE name = 'app.item.item_code_2' ORDER BY key;
SELECT count(*) FROM pg_index WHERE indrelid = 'app.item'::regclass AND NOT indisvalid;
UPDATE item SET code = 'code ' || id WHERE id IN (8, 9);
SELECT zdm.resume('app.item.item_code_2');
CALL zdm.wait('app.item.item_code_2', 'done', 60);
SELECT phase, state, discrepancies FROM zdm.status WHERE name = 'app.item.item_code_2';
\d item_code_2

-- Where what it has left cannot be dropped either, both are said.
CREATE FUNCTION keep_indexes() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'indexes are kept here' USING ERRCODE = '42501'; END$$;
CREATE EVENT TRIGGER keep_indexes ON ddl_command_start WHEN TAG IN ('DROP INDEX') EXECUTE FUNCTION keep_indexes();
SELECT zdm.create_index('CREATE UNIQUE INDEX item_price_once ON item (price)');
CALL zdm.wait('app.item.item_price_once', 'done', 60);
DROP EVENT TRIGGER keep_indexes;
DROP FUNCTION keep_indexes;
SELECT zdm.abort('app.item.item_price_once');
CALL zdm.wait('app.item.item_price_once', 'aborted', 60);

-- Aborted: nothing stays.
UPDATE item SET note = 'same' WHERE id IN (1, 2);
SELECT zdm.create_index('CREATE UNIQUE INDEX item_note ON item (note)');
CALL zdm.wait('app.item.item_note', 'done', 60);
SELECT zdm.abort('app.item.item_note');
CALL zdm.wait('app.item.item_note', 'aborted', 60);
SELECT phase, discrepancies FROM zdm.status WHERE name = 'app.item.item_note';
SELECT count(*) FROM pg_class WHERE relname ~ 'zdm_\d' OR relname = 'item_note';
SELECT zdm.revert('app.item.item_code_2');

-- Partitions, also below partitions; an index that a partition has already becomes part of it.
CREATE TABLE part (id integer, day date, v text) PARTITION BY RANGE (day);
CREATE TABLE part_old PARTITION OF part FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE part_new PARTITION OF part FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (id);
CREATE TABLE part_new_1 PARTITION OF part_new FOR VALUES IN (1);
CREATE TABLE part_new_2 PARTITION OF part_new FOR VALUES IN (2);
INSERT INTO part SELECT 1 + g % 2, '2020-07-01'::date + g, 'v' || g FROM generate_series(1, 365) g;
CREATE INDEX mine ON part_new_2 (lower(v), day);
SELECT zdm.create_index('CREATE INDEX ON part (lower(v), day)');
CALL zdm.wait('app.part.part_lower_day_idx', 'done', 60);
SELECT ordinal, kind, description, lock_mode, state FROM zdm.step WHERE name = 'app.part.part_lower_day_idx' ORDER BY ordinal;
SELECT relid, parentrelid, indisvalid FROM pg_partition_tree('part_lower_day_idx') JOIN pg_index ON indexrelid = relid ORDER BY relid::text;
SELECT zdm.create_index('CREATE INDEX ON ONLY part (day)');
SELECT zdm.create_index('CREATE UNIQUE INDEX ON part (id)', name => 'u');
CALL zdm.wait('u', 'done', 60);
SELECT zdm.abort('u');
CALL zdm.wait('u', 'aborted', 60);
-- One partition alone
SELECT zdm.create_index('CREATE UNIQUE INDEX part_old_id ON part_old (v)');
CALL zdm.wait('app.part_old.part_old_id', 'done', 60);
-- Duplicates in one partition: abort takes the whole tree down.
INSERT INTO part_new_1 SELECT * FROM part_new_1 LIMIT 1;
SELECT zdm.create_index('CREATE UNIQUE INDEX part_v ON part (v, day, id)');
CALL zdm.wait('app.part.part_v', 'done', 60);
SELECT kind, state FROM zdm.step WHERE name = 'app.part.part_v' ORDER BY ordinal;
SELECT count(*) FROM pg_index WHERE NOT indisvalid;
SELECT zdm.abort('app.part.part_v');
CALL zdm.wait('app.part.part_v', 'aborted', 60);
SELECT count(*) FROM pg_class WHERE relname ~ 'zdm_\d' OR relname LIKE 'part%v%id%idx';
SELECT count(*) FROM pg_index WHERE NOT indisvalid;

SET client_min_messages = warning;
DROP SCHEMA app CASCADE;
DROP TABLE public.item;
DROP EXTENSION zdm;
