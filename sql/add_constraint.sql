-- add_constraint: any table constraint; every row is checked beside the writes.
CREATE EXTENSION zdm;
CREATE TABLE customer (id integer PRIMARY KEY, region text, UNIQUE (region, id));
CREATE TABLE invoice (id integer, customer integer, region text, amount numeric, paid boolean, code text);
INSERT INTO customer SELECT g, 'r' || g % 3 FROM generate_series(1, 50) g;
INSERT INTO invoice SELECT g, 1 + g % 50, 'r' || (1 + g % 50) % 3, g, g % 2 = 0, 'c' || g FROM generate_series(1, 1000) g;

-- CHECK
BEGIN;
SELECT zdm.add_constraint('invoice', 'amount_positive', 'CHECK (amount > 0)');
COMMIT;
CALL zdm.wait('public.invoice.amount_positive', 'done', 60);
SELECT name, kind, relation, phase, target, state, message, progress, next_action FROM zdm.status;
SELECT ordinal, phase, kind, object, description, sql, lock_mode, state FROM zdm.step ORDER BY ordinal;
SELECT zdm.add_constraint('invoice', 'amount_positive', 'check ((amount) > (0)::numeric)');
SELECT count(*) FROM zdm.migration;
\set VERBOSITY terse
SELECT zdm.add_constraint('invoice', 'amount_positive', 'CHECK (amount >= 0)');
\echo :LAST_ERROR_SQLSTATE

-- FOREIGN KEY: both tables are locked for a moment; a missing index is warned of.
SELECT zdm.add_constraint('invoice', 'invoice_customer', 'FOREIGN KEY (customer) REFERENCES customer ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED');
CALL zdm.wait('public.invoice.invoice_customer', 'done', 60);
SELECT kind, sql, lock_mode, state FROM zdm.step WHERE name = 'public.invoice.invoice_customer' ORDER BY ordinal;
SELECT detail ->> 'warning' FROM zdm.event WHERE name = 'public.invoice.invoice_customer' AND event = 'start';
CREATE INDEX ON invoice (customer, region);
SELECT zdm.add_constraint('invoice', 'two', 'FOREIGN KEY (region, customer) REFERENCES customer (region, id) MATCH FULL ON UPDATE RESTRICT ON DELETE SET NULL (region)');
CALL zdm.wait('public.invoice.two', 'done', 60);
SELECT zdm.add_constraint('invoice', 'invoice_customer', 'FOREIGN KEY (customer) REFERENCES public.customer (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED');

-- UNIQUE and PRIMARY KEY
SELECT zdm.add_constraint('invoice', 'invoice_code', 'UNIQUE NULLS NOT DISTINCT (code) INCLUDE (amount) WITH (fillfactor = 80) DEFERRABLE');
CALL zdm.wait('public.invoice.invoice_code', 'done', 60);
SELECT zdm.add_constraint('invoice', 'invoice_pkey', 'PRIMARY KEY (id, customer)');
CALL zdm.wait('public.invoice.invoice_pkey', 'done', 60);
SELECT kind, object, sql, lock_mode, state FROM zdm.step WHERE name = 'public.invoice.invoice_pkey' ORDER BY ordinal;
SELECT zdm.add_constraint('invoice', 'invoice_code', 'UNIQUE NULLS NOT DISTINCT (code) INCLUDE (amount) DEFERRABLE'),
       zdm.add_constraint('invoice', 'invoice_pkey', 'PRIMARY KEY (id, customer)', name => 'again');
CALL zdm.wait('again', 'done', 60);
CREATE UNIQUE INDEX ready_made ON invoice (id);
SELECT zdm.add_constraint('invoice', 'adopted', 'UNIQUE USING INDEX ready_made');
CALL zdm.wait('public.invoice.adopted', 'done', 60);
SELECT zdm.add_constraint('invoice', 'adopted', 'UNIQUE USING INDEX ready_made');
-- NOT VALID stays so.
SELECT zdm.add_constraint('invoice', 'later', 'CHECK (amount < 500) NOT VALID');
CALL zdm.wait('public.invoice.later', 'done', 60);
SELECT zdm.add_constraint('invoice', 'later', 'CHECK (amount < 500) NOT VALID');
\d invoice

-- Rows that break it: named, and the constraint is taken off again, so that no write fails for it.
SELECT zdm.add_constraint('invoice', 'cheap', 'CHECK (amount < 998 AND paid IS NOT NULL)');
CALL zdm.wait('public.invoice.cheap', 'done', 60);
\echo :LAST_ERROR_SQLSTATE
SELECT state, message, discrepancies, next_action FROM zdm.status WHERE name = 'public.invoice.cheap';
SELECT relation::regclass, key, class, expected_value, actual_value FROM zdm.discrepancy WHERE name = 'public.invoice.cheap' ORDER BY key;
SELECT count(*) FROM pg_constraint WHERE conname = 'cheap';
SELECT kind, state FROM zdm.step WHERE name = 'public.invoice.cheap' ORDER BY ordinal;
ALTER TABLE invoice DROP CONSTRAINT later;
UPDATE invoice SET amount = 997 WHERE amount > 997;
SELECT zdm.resume('public.invoice.cheap');
CALL zdm.wait('public.invoice.cheap', 'done', 60);
SELECT phase, state, discrepancies FROM zdm.status WHERE name = 'public.invoice.cheap';
-- An expression that raises an error
SELECT zdm.add_constraint('invoice', 'raises', 'CHECK (1 / (id - 1000) < 1)');
CALL zdm.wait('public.invoice.raises', 'done', 60);
SELECT zdm.abort('public.invoice.raises');
CALL zdm.wait('public.invoice.raises', 'aborted', 60);
-- References to nothing
ALTER TABLE invoice DROP CONSTRAINT invoice_customer, DROP CONSTRAINT two;
UPDATE invoice SET customer = 1000 + id, region = NULL WHERE id IN (5, 6);
SELECT zdm.add_constraint('invoice', 'invoice_customer', 'FOREIGN KEY (customer) REFERENCES customer', name => 'orphans');
SELECT zdm.add_constraint('invoice', 'two', 'FOREIGN KEY (region, customer) REFERENCES customer (region, id) MATCH FULL', name => 'half');
CALL zdm.wait('orphans', 'done', 60);
CALL zdm.wait('half', 'done', 60);
SELECT name, key, expected_value, actual_value FROM zdm.discrepancy WHERE resolved_at IS NULL ORDER BY name, key;
SELECT zdm.abort('orphans'), zdm.abort('half');
CALL zdm.wait('orphans', 'aborted', 60);
CALL zdm.wait('half', 'aborted', 60);
-- NULL and duplicates in the way of a primary key
CREATE TABLE keyless (a integer, b integer);
INSERT INTO keyless VALUES (1, 1), (1, 1), (2, NULL);
SELECT zdm.add_constraint('keyless', 'keyless_pkey', 'PRIMARY KEY (a, b)');
CALL zdm.wait('public.keyless.keyless_pkey', 'done', 60);
UPDATE keyless SET b = 2 WHERE b IS NULL;
SELECT zdm.resume('public.keyless.keyless_pkey');
CALL zdm.wait('public.keyless.keyless_pkey', 'done', 60);
SELECT kind, object, state FROM zdm.step WHERE name = 'public.keyless.keyless_pkey' ORDER BY ordinal;
SELECT zdm.abort('public.keyless.keyless_pkey');
CALL zdm.wait('public.keyless.keyless_pkey', 'aborted', 60);
\d keyless
-- One that was there before, NOT VALID, is proved, and stays whatever is found.
ALTER TABLE keyless ADD CONSTRAINT small CHECK (a < 2) NOT VALID;
SELECT zdm.add_constraint('keyless', 'small', 'CHECK (a < 2)');
CALL zdm.wait('public.keyless.small', 'done', 60);
DELETE FROM keyless WHERE a = 2;
SELECT zdm.resume('public.keyless.small');
CALL zdm.wait('public.keyless.small', 'done', 60);
\d keyless

-- Rows that forced row level security hides from the owner, or that the owner must not read
CREATE ROLE zdm_test_owner;
CREATE SCHEMA apart AUTHORIZATION zdm_test_owner;
CREATE TABLE apart.hidden (id integer PRIMARY KEY);
INSERT INTO apart.hidden VALUES (-1), (60);
ALTER TABLE apart.hidden OWNER TO zdm_test_owner;
ALTER TABLE apart.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT REFERENCES ON customer TO zdm_test_owner;
SELECT zdm.add_constraint('apart.hidden', 'positive', 'CHECK (id > 0)');
CALL zdm.wait('apart.hidden.positive', 'done', 60);
SELECT zdm.add_constraint('apart.hidden', 'refers', 'FOREIGN KEY (id) REFERENCES customer');
CALL zdm.wait('apart.hidden.refers', 'done', 60);
SELECT count(*) FROM pg_constraint WHERE conname IN ('positive', 'refers');
SELECT zdm.abort('apart.hidden.positive'), zdm.abort('apart.hidden.refers');
CALL zdm.wait('apart.hidden.positive', 'aborted', 60);
CALL zdm.wait('apart.hidden.refers', 'aborted', 60);
DROP TABLE apart.hidden;
DROP SCHEMA apart;
REVOKE ALL ON customer FROM zdm_test_owner;
DROP ROLE zdm_test_owner;

-- A table that is renamed and moved meanwhile
BEGIN;
SELECT zdm.add_constraint('keyless', 'k', 'UNIQUE (b)') AS name \gset
SELECT zdm.add_constraint('keyless', 'c', 'CHECK (b > 0)') AS other \gset
SELECT zdm.create_index('CREATE INDEX keyless_b ON keyless (b)') AS index \gset
DELETE FROM keyless;
CREATE SCHEMA "Elsewhere";
ALTER TABLE keyless RENAME TO "New";
ALTER TABLE "New" SET SCHEMA "Elsewhere";
COMMIT;
CALL zdm.wait(:'name', 'done', 60);
CALL zdm.wait(:'other', 'done', 60);
CALL zdm.wait(:'index', 'done', 60);
\d "Elsewhere"."New"
ALTER TABLE "Elsewhere"."New" RENAME TO keyless;
ALTER TABLE "Elsewhere".keyless SET SCHEMA public;
DROP SCHEMA "Elsewhere";

-- Partitions: what the server can do without reading under lock.
CREATE TABLE p (id integer, v integer) PARTITION BY LIST (id);
CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p SELECT 1 + g % 2, g FROM generate_series(1, 10) g;
SELECT zdm.add_constraint('p', 'p_v', 'CHECK (v > 0)');
CALL zdm.wait('public.p.p_v', 'done', 60);
SELECT conrelid::regclass, conname, convalidated FROM pg_constraint WHERE conname = 'p_v' ORDER BY 1;
SELECT zdm.add_constraint('p', 'p_w', 'CHECK (v > 2)');
CALL zdm.wait('public.p.p_w', 'done', 60);
SELECT relation::regclass, key FROM zdm.discrepancy WHERE name = 'public.p.p_w' ORDER BY 1;
SELECT zdm.abort('public.p.p_w');
CALL zdm.wait('public.p.p_w', 'aborted', 60);
SELECT zdm.add_constraint('p', 'p_u', 'UNIQUE (id, v) WITH (fillfactor = 50)');
SELECT zdm.add_constraint('p_1', 'p_u', 'UNIQUE (id, v)');
CALL zdm.wait('public.p_1.p_u', 'done', 60);
SELECT zdm.add_constraint('keyless', 'keyless_p', 'EXCLUDE USING btree (a WITH =)');
\echo :LAST_ERROR_SQLSTATE

-- A condition is that of the session that asks for it, and so is the look at the rows of before, whatever the worker's has set.
CREATE TABLE day (id integer PRIMARY KEY, d date, at timestamp);
INSERT INTO day VALUES (1, '2019-03-01', '2019-02-01 12:00');
SET datestyle = 'SQL, DMY';
SELECT zdm.add_constraint('day', 'since', 'CHECK (d > ''01/02/2019''::date)', name => 'since');
CALL zdm.wait('since', 'done', 60);
SELECT zdm.create_index('CREATE INDEX day_index ON day (d, (d - ''01/02/2019''::date)) WHERE d > ''01/02/2019''', name => 'day_index');
CALL zdm.wait('day_index', 'done', 60);
SET timezone = 'Asia/Tokyo';
SELECT zdm.add_constraint('day', 'here', 'CHECK (extract(hour FROM at::timestamptz AT TIME ZONE ''UTC'') = 3)', name => 'here');
CALL zdm.wait('here', 'done', 60);
SET timezone = 'America/New_York';
SELECT zdm.add_constraint('day', 'there', 'CHECK (extract(hour FROM at::timestamptz AT TIME ZONE ''UTC'') = 3)', name => 'there');
CALL zdm.wait('there', 'done', 60);
SELECT zdm.abort('there');
CALL zdm.wait('there', 'aborted', 60);
SET datestyle = 'ISO, MDY';
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'day'::regclass AND contype = 'c' ORDER BY 1;
SELECT pg_get_indexdef('day_index'::regclass);
RESET datestyle;
RESET timezone;
DROP TABLE day;

-- Refused at once
SELECT zdm.add_constraint('invoice', 'x', 'CHECK (nothing > 0)');
SELECT zdm.add_constraint('invoice', 'x', 'CHECK (amount)');
SELECT zdm.add_constraint('invoice', 'x', 'CHECK (amount > (SELECT 1))');
SELECT zdm.add_constraint('invoice', 'x', 'CHECK (amount > 0), DROP COLUMN code');
SELECT zdm.add_constraint('invoice', 'x', 'CHECK (amount > 0); DROP TABLE invoice');
SELECT zdm.add_constraint('invoice', 'x', 'nonsense');
SELECT zdm.add_constraint('invoice', 'x', 'FOREIGN KEY (nothing) REFERENCES customer');
SELECT zdm.add_constraint('invoice', 'x', 'FOREIGN KEY (customer) REFERENCES nowhere');
SELECT zdm.add_constraint('invoice', 'x', 'FOREIGN KEY (customer) REFERENCES customer (region)');
SELECT zdm.add_constraint('invoice', 'x', 'FOREIGN KEY (customer) REFERENCES keyless');
SELECT zdm.add_constraint('invoice', 'x', 'PRIMARY KEY (amount)');
SELECT zdm.add_constraint('invoice', 'customer', 'UNIQUE (code)');
SELECT zdm.add_constraint('invoice', 'x', 'UNIQUE (nothing)');
SELECT zdm.add_constraint('invoice', 'x', 'UNIQUE USING INDEX nothing');
SELECT zdm.add_constraint('invoice', NULL, 'UNIQUE (code)');
SELECT zdm.add_constraint('invoice', 'x', NULL);
CREATE ROLE zdm_test_other;
GRANT CREATE ON SCHEMA public TO zdm_test_other;
SET ROLE zdm_test_other;
CREATE TABLE others (customer integer);
SELECT zdm.add_constraint('invoice', 'x', 'UNIQUE (code)');
-- A reference needs the right to make one, which nobody gets through zdm.
SELECT zdm.add_constraint('others', 'x', 'FOREIGN KEY (customer) REFERENCES customer');
RESET ROLE;
DROP TABLE others;
REVOKE CREATE ON SCHEMA public FROM zdm_test_other;
DROP ROLE zdm_test_other;
SELECT count(*) FROM pg_constraint WHERE conname LIKE 'zdm%' OR (NOT convalidated AND conname <> 'later');

-- Which rows they were that the messages count.
SELECT name, key FROM zdm.discrepancy ORDER BY name, found_at;
DROP TABLE invoice, customer, keyless, p;
DROP EXTENSION zdm;
