-- No one gets a right through zdm that they do not have without it.
CREATE EXTENSION zdm;
CREATE ROLE zdm_owner NOLOGIN;
CREATE ROLE zdm_member LOGIN IN ROLE zdm_owner;
CREATE ROLE zdm_stranger LOGIN;
CREATE ROLE zdm_app LOGIN;
CREATE SCHEMA shop AUTHORIZATION zdm_owner;
GRANT USAGE ON SCHEMA shop TO PUBLIC;
SET ROLE zdm_owner;
CREATE TABLE shop.item (id integer PRIMARY KEY, price integer);
INSERT INTO shop.item SELECT g, g FROM generate_series(1, 100) g;
GRANT SELECT, INSERT, UPDATE ON shop.item TO zdm_app;
-- The worker acts as the owner, and there is no way out of that: an expression that tries.
CREATE FUNCTION shop.spy(integer) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'zdm_owner' AND current_user <> 'zdm_app' THEN RAISE 'run as %', current_user; END IF;
    IF current_user = 'zdm_owner' AND $1 = 7 THEN
        BEGIN
            PERFORM set_config('role', 'postgres', false);
            RAISE 'escaped';
        EXCEPTION WHEN insufficient_privilege OR invalid_parameter_value THEN NULL;
        END;
    END IF;
    RETURN $1;
END $$;
REVOKE EXECUTE ON FUNCTION shop.spy FROM PUBLIC;
RESET ROLE;
SET SESSION AUTHORIZATION zdm_stranger;
SELECT zdm.change_type('shop.item', 'price', 'bigint');
SET SESSION AUTHORIZATION zdm_app;
SELECT zdm.change_type('shop.item', 'price', 'bigint');
SET SESSION AUTHORIZATION zdm_member;
SELECT zdm.change_type('shop.item', 'price', 'bigint', forward => 'shop.spy(price)', name => 'm');
CALL zdm.wait('m', 'ready', 60);
SELECT state, message FROM zdm.status;
SELECT key, class, old_value, expected_value FROM zdm.discrepancy;
-- The application needs no grant for the trigger, not even on what it calls.
SET SESSION AUTHORIZATION zdm_app;
INSERT INTO shop.item (id, price) VALUES (200, 2);
UPDATE shop.item SET price = 8 WHERE id = 8;
SELECT * FROM shop.item WHERE id IN (8, 200) ORDER BY id;
-- Strangers may look, not touch; user data is the owner's.
SET SESSION AUTHORIZATION zdm_stranger;
SELECT name, phase FROM zdm.status;
SELECT zdm.cutover('m');
SELECT zdm.revert('m');
SELECT zdm.contract('m');
SELECT zdm.abort('m');
SELECT zdm.pause('m');
SELECT zdm.resume('m');
SELECT zdm.configure('m', 'pace', 'full');
SELECT zdm.verify('m');
SELECT zdm.repair('m');
UPDATE zdm.migration SET target = 'done';
INSERT INTO zdm.step (migration, name, ordinal, phase, kind, description) VALUES (1, 'x', 99, 'done', 'contract', 'x');
DELETE FROM zdm.event;
RESET SESSION AUTHORIZATION;
ALTER TABLE shop.item DISABLE TRIGGER "~zdm_sync_1";
UPDATE shop.item SET zdm_new_price = 0 WHERE id = 1;
ALTER TABLE shop.item ENABLE ALWAYS TRIGGER "~zdm_sync_1";
SET SESSION AUTHORIZATION zdm_member;
SELECT zdm.verify('m');
SELECT key, class FROM zdm.discrepancy;
SET SESSION AUTHORIZATION zdm_stranger;
SELECT key, class FROM zdm.discrepancy;
SELECT discrepancies FROM zdm.status;
-- What rows make fail is told to all, what is in the rows to their owner alone. The keys of these hold the word "secret", and so do
-- their values: as columns, as what an expression cannot read, as what a function of the owner's says of them.
SET SESSION AUTHORIZATION zdm_member;
CREATE TABLE shop.client (key text PRIMARY KEY, mail text, code text, boss text, birth text, number text UNIQUE);
INSERT INTO shop.client SELECT 'k' || g, 'm' || g, g, NULL, '2000-01-01', g FROM generate_series(1, 100) g;
INSERT INTO shop.client VALUES ('secret key', 'secret mail', 'secret code', 'secret_boss', 'secret date', '07'),
                               ('secret too', 'secret mail', '7', NULL, NULL, '007');
CREATE FUNCTION shop.told(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF $1 LIKE 'secret%' THEN RAISE invalid_schema_name USING MESSAGE = 'zdm: migration of ' || $1, DETAIL = $1; END IF;
    RETURN $1;
END $$;
SELECT zdm.create_index('CREATE UNIQUE INDEX ON shop.client (mail)', name => 'unique');
SELECT zdm.create_index('CREATE UNIQUE INDEX ON shop.client (lower(mail), (1)) WHERE mail <> code', name => 'lower');
SELECT zdm.create_index('CREATE INDEX ON shop.client ((code::integer))', name => 'cast');
SELECT zdm.create_index('CREATE INDEX ON shop.client (shop.told(mail))', name => 'function');
SELECT zdm.create_index('CREATE INDEX ON shop.client ((mail::tsquery))', name => 'parsed');
SELECT zdm.create_index('CREATE INDEX ON shop.client ((1 / (11 - length(code))))', name => 'no value');
SELECT zdm.add_constraint('shop.client', 'short', 'CHECK (length(mail) < 5)', name => 'check');
SELECT zdm.add_constraint('shop.client', 'grown', 'CHECK (birth::date < ''2020-01-01'')', name => 'cannot be checked');
SELECT zdm.add_constraint('shop.client', 'found', 'CHECK (coalesce(boss::regclass::oid, 1) > 0)', name => 'looked up');
SELECT zdm.add_constraint('shop.client', 'boss', 'FOREIGN KEY (boss) REFERENCES shop.client', name => 'foreign key');
SELECT zdm.set_not_null('shop.client', 'birth', name => 'not null');
SELECT zdm.change_type('shop.client', 'code', 'integer', forward => 'code::integer', name => 'type');
SELECT zdm.change_type('shop.client', 'number', 'integer', forward => 'number::integer', name => 'carried');
CALL zdm.wait('unique', 'done', 60);
CALL zdm.wait('lower', 'done', 60);
CALL zdm.wait('cast', 'done', 60);
CALL zdm.wait('function', 'done', 60);
CALL zdm.wait('parsed', 'done', 60);
CALL zdm.wait('no value', 'done', 60);
CALL zdm.wait('check', 'done', 60);
CALL zdm.wait('cannot be checked', 'done', 60);
CALL zdm.wait('looked up', 'done', 60);
CALL zdm.wait('foreign key', 'done', 60);
CALL zdm.wait('not null', 'done', 60);
CALL zdm.wait('type', 'ready', 60);
CALL zdm.wait('carried', 'ready', 60);
SELECT name, key, old_value, expected_value, actual_value FROM zdm.discrepancy WHERE name <> 'm' ORDER BY name, key;
SET SESSION AUTHORIZATION zdm_stranger;
SELECT count(*) FROM zdm.discrepancy;
SELECT (SELECT count(*) FROM zdm.status t WHERE t::text ~* 'secret') AS status,
       (SELECT count(*) FROM zdm.migration t WHERE t::text ~* 'secret') AS migration,
       (SELECT count(*) FROM zdm.step t WHERE t::text ~* 'secret') AS step,
       (SELECT count(*) FROM zdm.event t WHERE t::text ~* 'secret') AS event,
       (SELECT count(*) FROM zdm.event WHERE event = 'failed') AS failed;
SET SESSION AUTHORIZATION zdm_member;
SELECT count(zdm.abort(name)) FROM zdm.status WHERE phase <> 'done' AND name <> 'm';
-- A caller's search_path and functions do not answer for the server.
RESET SESSION AUTHORIZATION;
CREATE SCHEMA evil AUTHORIZATION zdm_stranger;
SET SESSION AUTHORIZATION zdm_stranger;
CREATE FUNCTION evil.pg_has_role(oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'hijacked'; END $$;
SET search_path = evil, pg_catalog;
SELECT zdm.cutover('m');
SELECT zdm.change_type('shop.item', 'price', 'numeric', name => 'n');
RESET search_path;
RESET SESSION AUTHORIZATION;
-- A superuser who looks does not run the owner's code as a superuser.
SELECT zdm.verify('m');
SELECT zdm.repair('m');
SELECT zdm.abort('m');
CALL zdm.wait('m', 'aborted', 60);
-- Nor does the owner's code leave its settings to anybody: not to whoever starts or looks, and not to the worker.
CREATE SCHEMA trap AUTHORIZATION zdm_owner;
SET ROLE zdm_owner;
CREATE FUNCTION trap.set() RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN RAISE 'as a superuser'; END IF;
    PERFORM pg_catalog.set_config('search_path', 'trap, pg_catalog', false);
    PERFORM pg_catalog.set_config('default_transaction_read_only', 'on', false);
    PERFORM pg_catalog.pg_advisory_unlock_all();
    RETURN 1;
END $$;
CREATE FUNCTION trap.one() RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM trap.set(); RETURN 1; END $$;
CREATE TABLE trap.t (id integer PRIMARY KEY, a integer, b integer);
INSERT INTO trap.t SELECT g, g, g FROM generate_series(1, 10) g;
ALTER TABLE trap.t ADD COLUMN c integer GENERATED ALWAYS AS (b + trap.one()) STORED;
RESET ALL;
CREATE INDEX ON trap.t ((b * trap.one()));
RESET ALL;
RESET ROLE;
SELECT zdm.change_type('trap.t', 'a', 'bigint', forward => 'a + trap.one() - 1', reverse => 'a::integer - trap.one() + 1', name => 'trap');
CALL zdm.wait('trap', 'ready', 60);
SELECT zdm.change_type('trap.t', 'b', 'bigint', name => 'trap_generated');
CALL zdm.wait('trap_generated', 'ready', 60);
SELECT zdm.cutover('trap_generated');
CALL zdm.wait('trap_generated', 'soak', 60);
SELECT zdm.verify('trap');
SHOW search_path;
SHOW default_transaction_read_only;
SELECT zdm.create_index('CREATE INDEX trap_one ON trap.t ((a + trap.one()))', name => 'trap_index');
SHOW search_path;
CALL zdm.wait('trap_index', 'done', 60);
SELECT count(*) FROM zdm.claim WHERE what = 'worker' HAVING count(*) > 1;
-- Discrepancies are seen by whoever owns the table now.
CREATE TABLE shop.sold (id integer PRIMARY KEY, a integer);
INSERT INTO shop.sold VALUES (1, 1);
ALTER TABLE shop.sold OWNER TO zdm_owner;
SELECT zdm.change_type('shop.sold', 'a', 'bigint', name => 'sold');
CALL zdm.wait('sold', 'ready', 60);
SELECT '"~zdm_sync_' || max(id) || '"' AS trigger FROM zdm.migration \gset
ALTER TABLE shop.sold DISABLE TRIGGER :trigger;
UPDATE shop.sold SET a = 0;
ALTER TABLE shop.sold ENABLE ALWAYS TRIGGER :trigger;
SELECT zdm.verify('sold');
SET ROLE zdm_owner;
SELECT count(*) FROM zdm.discrepancy WHERE name = 'sold';
RESET ROLE;
ALTER TABLE shop.sold OWNER TO zdm_stranger;
SET ROLE zdm_owner;
SELECT count(*) FROM zdm.discrepancy WHERE name = 'sold';
SET ROLE zdm_stranger;
SELECT count(*) FROM zdm.discrepancy WHERE name = 'sold';
RESET ROLE;
SELECT zdm.abort(name) FROM unnest(ARRAY['sold', 'trap']) AS name;
CALL zdm.wait('sold', 'aborted', 60);
CALL zdm.wait('trap', 'aborted', 60);
DROP SCHEMA trap CASCADE;
-- Nor does the application need a grant on what an expression reads and calls while it runs: it is evaluated with the
-- rights of the table's owner, whose names resolve as they do for the worker, and whose settings do not stay.
CREATE SCHEMA app AUTHORIZATION zdm_app;
SET ROLE zdm_owner;
CREATE TABLE shop.rate (factor integer);
INSERT INTO shop.rate VALUES (10);
CREATE FUNCTION shop.factor() RETURNS integer LANGUAGE sql STABLE AS 'SELECT factor FROM shop.rate';
CREATE FUNCTION shop.dear(integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM set_config('shop.seen', 'left behind', false), set_config('search_path', 'shop', false);
    RETURN pg_catalog.format('%s for %s', $1 * shop.factor(), pg_catalog.lower(current_user));
END $$;
CREATE FUNCTION shop.plain(integer) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN lower(shop.dear($1)); END $$;
REVOKE EXECUTE ON FUNCTION shop.factor, shop.dear, shop.plain FROM PUBLIC;
CREATE TABLE shop.offer (id integer PRIMARY KEY, price integer, note text);
INSERT INTO shop.offer VALUES (1, 1), (2, 2);
CREATE TABLE shop.log (id integer, v integer) PARTITION BY RANGE (id);
GRANT SELECT, INSERT, UPDATE, TRIGGER ON shop.offer, shop.log TO zdm_app;
RESET ROLE;
SET SESSION AUTHORIZATION zdm_member;
SELECT zdm.change_type('shop.offer', 'price', 'text', forward => 'shop.plain(price)', name => 'o');
SELECT zdm.change_type('shop.log', 'v', 'text', forward => 'shop.plain(v)', name => 'l');
CALL zdm.wait('o', 'ready', 60);
CALL zdm.wait('l', 'ready', 60);
SET SESSION AUTHORIZATION zdm_app;
CREATE FUNCTION app.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'hijacked by ' || current_user; END $$;
SET search_path = app, pg_catalog;
INSERT INTO shop.offer (id, price) VALUES (3, 3);
UPDATE shop.offer SET price = 20 WHERE id = 2;
SELECT id, price, zdm_new_price FROM shop.offer ORDER BY id;
SELECT current_user, current_setting('search_path') AS path, nullif(current_setting('shop.seen', true), '') AS seen;
RESET search_path;
-- A partition may be another's, a superuser's even: its rows are computed with the rights of whoever owns the whole.
RESET SESSION AUTHORIZATION;
CREATE TABLE shop.log1 PARTITION OF shop.log FOR VALUES FROM (0) TO (100);
INSERT INTO shop.log VALUES (1, 1);
SELECT * FROM shop.log;
-- Of whoever owns it now, also in a session that has written before.
ALTER TABLE shop.log OWNER TO zdm_member;
INSERT INTO shop.log VALUES (2, 2);
SELECT * FROM shop.log WHERE id = 2;
-- Whoever has TRIGGER on a table gets no right of its owner's, before that one has made the trigger fire always.
SET SESSION AUTHORIZATION zdm_app;
CREATE FUNCTION app.whoami(integer) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN current_user; END $$;
CREATE TRIGGER mine BEFORE INSERT OR UPDATE ON shop.offer FOR EACH ROW
    EXECUTE FUNCTION zdm.sync('1', 'old', '', '1', 'id', '', '1', 'note', 'app.whoami($1)');
INSERT INTO shop.offer (id, price) VALUES (4, 4) RETURNING note;
RESET SESSION AUTHORIZATION;
ALTER TABLE shop.offer ENABLE ALWAYS TRIGGER mine;
SET SESSION AUTHORIZATION zdm_app;
CREATE OR REPLACE TRIGGER mine BEFORE INSERT OR UPDATE ON shop.offer FOR EACH ROW
    EXECUTE FUNCTION zdm.sync('1', 'old', '', '1', 'id', '', '1', 'note', 'app.whoami($1 + 0)');
INSERT INTO shop.offer (id, price) VALUES (5, 5) RETURNING note;
RESET SESSION AUTHORIZATION;
DROP TABLE shop.log1;
SELECT zdm.abort('o'), zdm.abort('l');
CALL zdm.wait('o', 'aborted', 60);
CALL zdm.wait('l', 'aborted', 60);
DROP TABLE shop.rate, shop.offer, shop.log;
DROP FUNCTION shop.factor, shop.dear, shop.plain, app.lower, app.whoami;
DROP SCHEMA app;
-- An owner who may not create in the schema may not have an index built there either.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
CREATE TABLE public.nocreate (a integer);
ALTER TABLE public.nocreate OWNER TO zdm_owner;
SET SESSION AUTHORIZATION zdm_member;
SELECT zdm.change_type('public.nocreate', 'a', 'bigint');
RESET SESSION AUTHORIZATION;
DROP TABLE public.nocreate;
DROP SCHEMA shop, evil CASCADE;
DROP EXTENSION zdm;
DROP ROLE zdm_app;
DROP ROLE zdm_stranger;
DROP ROLE zdm_member;
DROP ROLE zdm_owner;
