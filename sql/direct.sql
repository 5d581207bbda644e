-- zdm.mode = direct: the same calls do plain DDL at once, in the caller's transaction, and steering has nothing to do.
CREATE EXTENSION zdm;
CREATE TABLE customer (id serial PRIMARY KEY, first_name text, last_name text, boss integer REFERENCES customer);
CREATE TABLE invoice (id integer NOT NULL, customer integer REFERENCES customer, amount integer DEFAULT 7 CHECK (amount > 0), code text);
INSERT INTO customer (first_name, last_name) SELECT 'f' || g, 'l' || g FROM generate_series(1, 10) g;
INSERT INTO invoice SELECT g, 1 + g % 10, g, g FROM generate_series(1, 100) g;
CREATE INDEX invoice_code ON invoice (code);
SET zdm.mode = direct;

BEGIN;
SELECT zdm.change_type('invoice', 'amount', 'numeric(10,2)', forward => 'amount / 100.0', reverse => '(amount * 100)::integer');
-- In the same transaction: done, and a file of migrations written for both modes goes on.
SELECT zdm.cutover('public.invoice.amount'), zdm.contract('public.invoice.amount'), zdm.assert_ready('public.invoice.amount');
CALL zdm.wait('public.invoice.amount', 'ready', 60);
CALL zdm.wait('public.invoice.amount', 'done', 60);
COMMIT;
SELECT name, kind, relation, phase, target, state, message, progress, revertible, next_action FROM zdm.status;
SELECT ordinal, phase, kind, description, sql, lock_mode, state FROM zdm.step ORDER BY ordinal;
-- Called again it is so already.
SELECT zdm.change_type('invoice', 'amount', 'numeric(10,2)', forward => 'amount / 100.0', reverse => '(amount * 100)::integer');
SELECT count(*) FROM zdm.migration;
\set VERBOSITY terse
SELECT zdm.revert('public.invoice.amount');
SELECT zdm.abort('public.invoice.amount');
SELECT min(amount), max(amount) FROM invoice;

-- A closure of keys, with a key within one table
SELECT zdm.change_type('customer', 'id', 'text', forward => 'id::text', reverse => 'id::integer');
-- By expression, and without a rewrite
SELECT zdm.change_type('invoice', 'code', 'integer', forward => 'code::integer', reverse => 'code::text');
SELECT zdm.change_type('invoice', 'code', 'bigint', name => 'wider');
SELECT zdm.rename_column('invoice', 'code', 'number');
SELECT zdm.replace_columns('customer', '{first_name,last_name}', '{name text}', '{first_name || '' '' || last_name}');
SELECT zdm.create_index('CREATE INDEX ON invoice (lower(number::text)) WHERE amount > 0.5');
SELECT zdm.create_index('CREATE INDEX ON invoice (lower(number::text)) WHERE amount > 0.5');
SELECT zdm.add_constraint('invoice', 'invoice_pkey', 'PRIMARY KEY (id) WITH (fillfactor = 90) DEFERRABLE');
SELECT zdm.add_constraint('invoice', 'positive', 'CHECK (number > 0) NOT VALID');
SELECT zdm.add_constraint('invoice', 'positive', 'CHECK (number > 0)', name => 'proved');
SELECT zdm.add_constraint('invoice', 'invoice_number', 'UNIQUE (number) INCLUDE (amount)');
SELECT zdm.add_constraint('invoice', 'successor', 'FOREIGN KEY (id) REFERENCES invoice (number) DEFERRABLE');
SELECT zdm.drop_index('invoice_code');
\d customer
\d invoice
SELECT * FROM customer ORDER BY name LIMIT 2;
SELECT name, array_agg(sql ORDER BY ordinal) AS sql FROM zdm.step WHERE name = 'public.customer.id' GROUP BY name;
SELECT count(*) FILTER (WHERE phase = 'done'), count(*) FROM zdm.migration;

-- What does not work is rolled back, and said by the call itself.
SELECT zdm.add_constraint('invoice', 'cheap', 'CHECK (amount < 0.5)');
SELECT zdm.create_index('CREATE UNIQUE INDEX ON invoice (customer)');
SELECT count(*) FROM zdm.migration WHERE phase <> 'done';
CREATE VIEW reads AS SELECT customer FROM invoice;
SELECT zdm.change_type('invoice', 'customer', 'varchar', forward => 'upper(customer)', cascade => false, name => 'v');
DROP VIEW reads;
-- No right is gained by it.
CREATE ROLE zdm_test_other;
SET ROLE zdm_test_other;
SELECT zdm.drop_index('invoice_pkey');
RESET ROLE;
DROP ROLE zdm_test_other;
-- Started online, it is finished online.
SET zdm.mode = online;
SELECT zdm.change_type('invoice', 'number', 'numeric', name => 'n');
SET zdm.mode = direct;
SELECT zdm.change_type('invoice', 'number', 'numeric', name => 'n');
SELECT zdm.change_type('invoice', 'number', 'text', name => 'm');
CALL zdm.wait('n', 'ready', 60);
SELECT zdm.abort('n');
CALL zdm.wait('n', 'aborted', 60);

DROP TABLE invoice, customer;
-- Columns
SET zdm.mode = direct;
CREATE TABLE person (id integer, first text, last text);
INSERT INTO person VALUES (1, 'a', 'b'), (2, 'c', NULL);
SELECT zdm.add_column('person', 'name', 'text', value => 'concat(first, last)', not_null => true, column_default => '''''', name => 'name');
SELECT zdm.set_not_null('person', 'last', value => '''?''', name => 'last');
SELECT zdm.drop_column('person', 'first', name => 'first');
SELECT * FROM person ORDER BY id;
SELECT attname, attnotnull, atthasdef FROM pg_attribute WHERE attrelid = 'person'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum;
DROP TABLE person;
-- No worker is needed, so a temporary table will do.
CREATE TEMP TABLE draft (id integer PRIMARY KEY, body text, v integer);
INSERT INTO draft VALUES (1, 'one', 1), (2, 'two', NULL);
SELECT zdm.change_type('draft', 'id', 'bigint');
SELECT zdm.change_type('draft', 'v', 'text', forward => 'v::text || ''!''', reverse => 'length(v)');
SELECT zdm.rename_column('draft', 'body', 'text');
SELECT zdm.set_not_null('draft', 'v', value => 'text');
SELECT zdm.add_column('draft', 'w', 'integer', value => 'length(text)', not_null => true, column_default => '0');
SELECT zdm.create_index('CREATE INDEX draft_w ON draft (w)');
SELECT zdm.add_constraint('draft', 'long', 'CHECK (w > 0)');
SELECT id, pg_typeof(id), text, v, w FROM draft ORDER BY id;
SELECT name, relation, phase FROM zdm.status WHERE name LIKE 'pg_temp.%' ORDER BY started_at;
DROP TABLE draft;
DROP EXTENSION zdm;
