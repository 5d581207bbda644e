-- The plan of a call, without a trace of it: for review, before the deploy.
CREATE EXTENSION zdm;
CREATE TABLE account (id serial PRIMARY KEY, balance integer NOT NULL CHECK (balance >= 0), note text);
INSERT INTO account (balance) SELECT g FROM generate_series(1, 1000) g;
ANALYZE account;
SET client_min_messages = error;
CREATE PUBLICATION published FOR TABLE account;
SELECT ordinal, step, lock_mode, blocks, estimated_seconds > 0 AS takes_time, estimated_bytes > 0 AS takes_space, warning
  FROM zdm.plan($$SELECT zdm.change_type('account', 'balance', 'bigint')$$);
DROP PUBLICATION published;
RESET client_min_messages;
SELECT step, description, sql FROM zdm.plan($$ select zdm.rename_column('account', 'balance', 'credit', name => 'r') $$) WHERE step IN ('expand', 'swap', 'contract');
-- Without a way back the plan says so.
SELECT step, warning FROM zdm.plan($$SELECT zdm.change_type('account', 'note', 'xml', forward => 'note::xml')$$) WHERE warning IS NOT NULL;
SELECT count(*) AS migrations FROM zdm.migration;
SELECT count(*) AS events FROM zdm.event;
-- Of one that is under way: what it consists of.
SELECT zdm.change_type('account', 'balance', 'bigint', name => 'm');
SELECT count(*) > 5 AS planned FROM zdm.plan($$SELECT zdm.change_type('account', 'balance', 'bigint', name => 'm')$$);
-- Nothing else is run; errors are those of the call.
SELECT * FROM zdm.plan('DROP TABLE account');
SELECT * FROM zdm.plan($$SELECT zdm.abort('m')$$);
\set VERBOSITY terse
SELECT * FROM zdm.plan($$SELECT zdm.change_type('account', 'nothing', 'bigint')$$);
CALL zdm.wait('m', 'ready', 60);
SELECT zdm.abort('m');
CALL zdm.wait('m', 'aborted', 60);
DROP TABLE account;
DROP EXTENSION zdm;
