-- The application of soak.sh. Whatever it does keeps two things true, in any shape of its tables: an account's balance
-- is the sum of its movements, and a person's bio tells its karma.
CREATE TABLE account (
    id      serial PRIMARY KEY,
    owner   text NOT NULL,
    balance integer NOT NULL DEFAULT 0 CHECK (balance > -1000000000),
    code    text UNIQUE,
    note    text DEFAULT 'none',
    padding text
) WITH (fillfactor = 90);
CREATE INDEX account_balance ON account (balance DESC) WHERE balance <> 0;
CREATE INDEX account_owner ON account (lower(owner)) INCLUDE (balance);
CREATE VIEW rich AS SELECT id, owner, balance FROM account WHERE balance > 100;

CREATE TABLE movement (
    id      bigserial,
    account integer NOT NULL REFERENCES account ON DELETE CASCADE,
    amount  integer NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE movement_1 PARTITION OF movement FOR VALUES FROM (0) TO (30000);
CREATE TABLE movement_2 PARTITION OF movement FOR VALUES FROM (30000) TO (100000);
CREATE TABLE movement_3 PARTITION OF movement DEFAULT;
CREATE INDEX movement_account ON movement (account);

CREATE TABLE person (
    id        bigint PRIMARY KEY,
    name      text NOT NULL,
    bio       text NOT NULL DEFAULT 'k0',
    karma     integer NOT NULL DEFAULT 0 CHECK (karma >= 0),
    nick      text DEFAULT 'nobody',
    full_name text DEFAULT 'some one',
    visits    integer NOT NULL DEFAULT 0
);
CREATE INDEX person_karma ON person (karma);

INSERT INTO account (owner, code, padding) SELECT 'owner ' || g, 'c' || g, repeat('p', g % 200) FROM generate_series(1, 20000) g;
INSERT INTO movement (account, amount) SELECT 1 + g % 20000, g % 10 FROM generate_series(1, 40000) g;
UPDATE account SET balance = (SELECT coalesce(sum(amount), 0) FROM movement WHERE account = account.id);
INSERT INTO person (id, name, bio, karma, nick) SELECT g, 'p' || g, 'k' || g % 100, g % 100, CASE WHEN g % 10 <> 3 THEN 'n' || g END FROM generate_series(1, 20000) g;
VACUUM ANALYZE;

-- A column of the table that has that beginning, at random where there are several.
CREATE FUNCTION some_column(relation regclass, beginning text) RETURNS text LANGUAGE sql
RETURN (SELECT attname FROM pg_attribute
         WHERE attrelid = relation AND attname ^@ beginning AND attnum > 0 AND NOT attisdropped ORDER BY random() LIMIT 1);

CREATE FUNCTION move(which integer, amount integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE account SET balance = balance + move.amount WHERE id = which;
    IF FOUND THEN
        INSERT INTO movement (account, amount) VALUES (which, move.amount);
    END IF;
END $$;

CREATE FUNCTION open_and_close(number bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account (owner, code) VALUES ('fresh', 'f' || number) ON CONFLICT (code) DO NOTHING;
    DELETE FROM account WHERE id = (SELECT id FROM account WHERE owner = 'fresh' ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED);
END $$;

-- The application learns of a column's new name between two statements.
CREATE FUNCTION remark(which integer, remark text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE account SET %I = $1 WHERE id = $2', some_column('account', 'note')) USING remark, which;
EXCEPTION WHEN undefined_column THEN NULL;
END $$;

CREATE FUNCTION praise(which bigint, praise integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE person SET visits = visits + 1 WHERE id = which + 1;
    UPDATE person SET karma = praise, bio = 'k' || praise WHERE id = which;
EXCEPTION WHEN undefined_column THEN
    UPDATE profile SET karma = praise, bio = 'k' || praise WHERE id = which;
END $$;

CREATE FUNCTION come_and_go(which bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM person WHERE id = which;
    INSERT INTO person (id, name) VALUES (which, 'back') ON CONFLICT (id) DO UPDATE SET name = 'back again';
END $$;

-- What must be true at any moment; what is not.
CREATE FUNCTION violations() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    wrong_accounts bigint;
    wrong_persons bigint;
BEGIN
    SELECT count(*) INTO wrong_accounts
      FROM account a LEFT JOIN (SELECT account, sum(amount) AS sum FROM movement GROUP BY account) m ON m.account = a.id
     WHERE a.balance <> coalesce(m.sum, 0);
    IF some_column('person', 'karma') = 'karma' THEN
        SELECT count(*) INTO wrong_persons FROM person WHERE bio <> 'k' || karma;
    ELSE
        SELECT count(*) INTO wrong_persons FROM profile WHERE bio <> 'k' || karma;
    END IF;
    RETURN nullif(concat_ws(', ', nullif(wrong_accounts, 0) || ' accounts', nullif(wrong_persons, 0) || ' persons'), '');
EXCEPTION WHEN undefined_table OR undefined_column THEN
    -- The columns have gone to the other table in between.
    RETURN violations();
END $$;

-- What a finished migration must not leave behind.
CREATE FUNCTION remains() RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(what, ', ') FROM (
    SELECT format('column %s.%s', attrelid::regclass, attname) FROM pg_attribute
     WHERE attname LIKE 'zdm\_%' AND attnum > 0 AND NOT attisdropped AND attrelid::regclass::text NOT LIKE 'zdm.%'
    UNION ALL SELECT format('trigger %s', tgname) FROM pg_trigger WHERE tgname LIKE '~zdm%'
    UNION ALL SELECT format('index %s', indexrelid::regclass) FROM pg_index WHERE NOT indisvalid OR indexrelid::regclass::text ~ '^zdm_[0-9]'
    UNION ALL SELECT format('constraint %s', conname) FROM pg_constraint WHERE NOT convalidated OR conname ~ '^zdm_[0-9]') AS left_behind(what));
