-- A key goes with all that refers to it: one migration of several tables, one cutover. The same schema twice, one
-- changed by zdm with a way back in between, the other by plain DDL: nothing tells them apart in the end.
CREATE EXTENSION zdm;
CREATE FUNCTION build(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', schema);
    EXECUTE format('SET LOCAL search_path = %I', schema);
    -- A key that its own table refers to; every action; deferred; of two columns; not valid.
    CREATE TABLE customer (
        id serial PRIMARY KEY, name text,
        referrer integer REFERENCES customer ON DELETE SET NULL,
        UNIQUE (id, name));
    CREATE TABLE orders (
        id serial PRIMARY KEY,
        customer_id integer NOT NULL REFERENCES customer ON DELETE CASCADE ON UPDATE CASCADE);
    CREATE INDEX ON orders (customer_id);
    CREATE TABLE item (
        order_id integer REFERENCES orders DEFERRABLE INITIALLY DEFERRED, line integer,
        packer integer DEFAULT 1 REFERENCES customer ON DELETE SET DEFAULT,
        buyer integer, buyer_name text, PRIMARY KEY (order_id, line),
        FOREIGN KEY (buyer, buyer_name) REFERENCES customer (id, name) MATCH FULL ON UPDATE RESTRICT);
    CREATE TABLE note (customer_id integer, text text);
    INSERT INTO customer (name) SELECT 'c' || g FROM generate_series(1, 100) g;
    UPDATE customer SET referrer = 100 - id WHERE id < 50;
    INSERT INTO orders (customer_id) SELECT g % 100 + 1 FROM generate_series(1, 1000) g;
    INSERT INTO item SELECT g, 1, 20 + g, g, 'c' || g FROM generate_series(1, 10) g;
    INSERT INTO note VALUES (1, 'fine'), (100000, 'refers to nobody');
    ALTER TABLE note ADD FOREIGN KEY (customer_id) REFERENCES customer NOT VALID;
END $$;
SELECT build('one'), build('two');
CREATE FUNCTION looks(schema text) RETURNS TABLE (line text) LANGUAGE sql AS $$
    SELECT concat_ws(' ', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                     pg_get_expr(d.adbin, d.adrelid))
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = schema::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT concat_ws(' ', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.condeferred)
      FROM pg_constraint k WHERE k.connamespace = schema::regnamespace AND k.contype <> 'n'
    UNION ALL
    SELECT concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisunique, i.indisprimary, i.indisvalid)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = schema::regnamespace
    UNION ALL
    SELECT concat_ws(' ', t.tgrelid::regclass, t.tgname) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = schema::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(' ', c.relname, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
      FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'a'
     WHERE c.relnamespace = schema::regnamespace AND c.relkind = 'S'
$$;
-- What differs between the two, by the names without their schema.
CREATE VIEW difference AS
    SELECT 'one' AS only_in, replace(line, 'one.', '') AS line FROM looks('one')
    EXCEPT SELECT 'one', replace(line, 'two.', '') FROM looks('two')
    UNION ALL
    (SELECT 'two', replace(line, 'two.', '') FROM looks('two')
     EXCEPT SELECT 'two', replace(line, 'one.', '') FROM looks('one'));
SELECT * FROM difference;

SELECT zdm.change_type('one.orders', 'customer_id', 'bigint', name => 'key');
CALL zdm.wait('key', 'ready', 60);
SELECT name, relation, phase, state, message, discrepancies FROM zdm.status;
SELECT relation_name FROM zdm.migrated_table ORDER BY 1;
-- The original still acts, the counterpart only watches.
DELETE FROM one.customer WHERE id = 60;
UPDATE one.customer SET id = 1060 WHERE id = 45;
DELETE FROM one.customer WHERE id = 21;
SELECT referrer, zdm_new_referrer FROM one.customer WHERE id = 40;
SELECT packer, zdm_new_packer FROM one.item WHERE order_id = 1;
SELECT count(*) FILTER (WHERE customer_id = 1060), count(*) FILTER (WHERE customer_id IN (60, 45)),
       count(*) FILTER (WHERE customer_id <> zdm_new_customer_id) FROM one.orders;
SELECT zdm.verify('key');

SELECT zdm.cutover('key');
CALL zdm.wait('key', 'soak', 60);
SELECT column_name, data_type FROM information_schema.columns
 WHERE table_schema = 'one' AND (column_name ~ 'customer_id|referrer' OR (table_name, column_name) = ('customer', 'id')) ORDER BY table_name, 1;
-- A violation has the name that it always had.
INSERT INTO one.orders (customer_id) VALUES (99999);
INSERT INTO one.customer (id, name) VALUES (35, 'again');
INSERT INTO one.customer (id, name) VALUES (35, 'again') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING id;
UPDATE one.customer SET name = 'c35' WHERE id = 35;
DELETE FROM one.customer WHERE id IN (22, 70);
UPDATE one.customer SET id = 1070 WHERE id = 31;
SELECT packer, zdm_old_packer FROM one.item WHERE order_id = 2;
SELECT zdm.verify('key');
-- A key that the old columns cannot hold: the way back says so, and does nothing.
INSERT INTO one.customer (id, name) VALUES (3000000000, 'large');
INSERT INTO one.orders (customer_id) VALUES (3000000000);
SELECT zdm.revert('key');
DELETE FROM one.customer WHERE id = 3000000000;
SELECT zdm.revert('key');
CALL zdm.wait('key', 'ready', 60);
SELECT zdm.verify('key');
SELECT only_in, line FROM difference WHERE line !~ 'zdm_' ORDER BY 1, 2;
INSERT INTO one.orders (customer_id) VALUES (99999);
DELETE FROM one.customer WHERE id IN (23, 80);
SELECT packer, zdm_new_packer FROM one.item WHERE order_id = 3;

SELECT zdm.cutover('key');
CALL zdm.wait('key', 'soak', 60);
SELECT zdm.contract('key');
CALL zdm.wait('key', 'done', 60);
BEGIN;
SET LOCAL search_path = two;
ALTER TABLE customer DROP CONSTRAINT customer_referrer_fkey;
ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;
ALTER TABLE item DROP CONSTRAINT item_packer_fkey, DROP CONSTRAINT item_buyer_buyer_name_fkey;
ALTER TABLE note DROP CONSTRAINT note_customer_id_fkey;
ALTER TABLE customer ALTER id TYPE bigint, ALTER referrer TYPE bigint;
ALTER TABLE orders ALTER customer_id TYPE bigint;
ALTER TABLE item ALTER packer TYPE bigint, ALTER buyer TYPE bigint;
ALTER TABLE note ALTER customer_id TYPE bigint;
ALTER TABLE customer ADD FOREIGN KEY (referrer) REFERENCES customer ON DELETE SET NULL;
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customer ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE item ADD FOREIGN KEY (packer) REFERENCES customer ON DELETE SET DEFAULT,
    ADD FOREIGN KEY (buyer, buyer_name) REFERENCES customer (id, name) MATCH FULL ON UPDATE RESTRICT;
ALTER TABLE note ADD FOREIGN KEY (customer_id) REFERENCES customer NOT VALID;
COMMIT;
SELECT * FROM difference;

-- Only this column, where the server can compare the two types; and a key of another migration beside it.
SELECT zdm.change_type('one.item', 'order_id', 'bigint', cascade => false, name => 'only');
SELECT zdm.change_type('one.note', 'text', 'varchar(100)', name => 'beside');
CALL zdm.wait('only', 'ready', 60);
CALL zdm.wait('beside', 'ready', 60);
SELECT zdm.cutover('only');
CALL zdm.wait('only', 'soak', 60);
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'one.item'::regclass AND contype = 'f' ORDER BY 1;
SELECT zdm.contract('only');
CALL zdm.wait('only', 'done', 60);
SELECT zdm.abort('beside');
CALL zdm.wait('beside', 'aborted', 60);
-- Given up: the tables as they were.
SELECT zdm.change_type('one.orders', 'id', 'numeric(20)', name => 'given up');
CALL zdm.wait('given up', 'ready', 60);
SELECT zdm.abort('given up');
CALL zdm.wait('given up', 'aborted', 60);
SET client_min_messages = warning;
ALTER TABLE two.item ALTER order_id TYPE bigint;
SELECT * FROM difference;
DROP VIEW difference;
DROP SCHEMA one, two CASCADE;
DROP FUNCTION build, looks;
DROP EXTENSION zdm;
