-- change_type: the whole life of a migration, as an operator sees it.
CREATE EXTENSION zdm;
CREATE TABLE account (
    id      serial PRIMARY KEY,
    balance integer NOT NULL DEFAULT 0 CHECK (balance > -1000),
    note    text
);
COMMENT ON COLUMN account.balance IS 'in cents';
CREATE INDEX account_balance ON account (balance DESC, id) INCLUDE (note) WHERE balance <> 0;
CREATE UNIQUE INDEX account_pair ON account ((balance + id), id);
INSERT INTO account (balance, note) SELECT g % 500, 'row ' || g FROM generate_series(1, 2000) g;

-- The call returns at once; the worker does the work.
SELECT zdm.change_type('account', 'balance', 'bigint');
CALL zdm.wait('public.account.balance', 'ready', 60);
SELECT name, kind, relation, phase, target, state, message, progress, bar, rows_done, discrepancies, revertible, next_action
  FROM zdm.status;
SELECT zdm.assert_ready('public.account.balance');
SELECT ordinal, phase, kind, object, description, sql, lock_mode, state, error FROM zdm.step ORDER BY ordinal;
SELECT carrier, object, shadow, definition, shadow_definition FROM zdm.carried ORDER BY ordinal;

-- Both sides are there, and every write keeps them equal.
\d account
UPDATE account SET balance = 42 WHERE id = 1;
UPDATE account SET zdm_new_balance = 43 WHERE id = 2;
INSERT INTO account (note) VALUES ('by default');
SELECT * FROM account WHERE id IN (1, 2, 2001) ORDER BY id;

-- The same call again changes nothing; another type under the same name is refused.
SELECT zdm.change_type('account', 'balance', 'int8');
SELECT zdm.change_type('account', 'balance', 'numeric');
SELECT count(*) FROM zdm.migration;

SELECT zdm.cutover('public.account.balance');
CALL zdm.wait('public.account.balance', 'soak', 60);
\d+ account
INSERT INTO account (note) VALUES ('by the new default');
UPDATE account SET balance = 5000000000 WHERE id = 3;
SELECT * FROM account WHERE id IN (1, 2, 3, 2001, 2002) ORDER BY id;
-- What the new type refuses, as before
INSERT INTO account (balance) VALUES (-5000);
INSERT INTO account (balance) VALUES (NULL);

-- A value that the old column cannot hold would be lost: revert says so and does nothing.
SELECT zdm.revert('public.account.balance');
SELECT phase, target, state FROM zdm.status;
UPDATE account SET balance = 50 WHERE id = 3;
SELECT zdm.revert('public.account.balance');
CALL zdm.wait('public.account.balance', 'ready', 60);
\d+ account
SELECT * FROM account WHERE id IN (3, 2002) ORDER BY id;
SELECT zdm.verify('public.account.balance');

SELECT zdm.cutover('public.account.balance');
CALL zdm.wait('public.account.balance', 'soak', 60);
SELECT zdm.contract('public.account.balance');
CALL zdm.wait('public.account.balance', 'done', 60);
\d+ account
SELECT count(*), sum(balance), pg_typeof(max(balance)) FROM account;
SELECT name, phase, state, next_action FROM zdm.status;
SELECT event, phase, detail - 'definition' AS detail FROM zdm.event ORDER BY id;

-- Everything that is asked for is so already.
SELECT zdm.change_type('account', 'balance', 'bigint'), zdm.cutover('public.account.balance'),
       zdm.contract('public.account.balance');
SELECT zdm.revert('public.account.balance');

-- Without a rewrite there is nothing to shadow: one short ALTER.
CREATE TABLE short (a varchar(10), b numeric(10, 2));
INSERT INTO short VALUES ('x', 1.5);
SELECT zdm.change_type('short', 'a', 'text');
CALL zdm.wait('public.short.a', 'done', 60);
SELECT zdm.change_type('short', 'b', 'numeric(14,2)');
CALL zdm.wait('public.short.b', 'done', 60);
SELECT name, kind, sql, state FROM zdm.step WHERE name LIKE '%short%' ORDER BY migration;
\d short

DROP TABLE account, short;
DROP EXTENSION zdm;
