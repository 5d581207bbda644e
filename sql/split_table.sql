-- split_table: columns move to a table of their own. From expand until contract both tables have
-- them, and whoever writes to one of them writes to both.
CREATE EXTENSION zdm;
SET zdm.pace = 'full';
CREATE ROLE split_reader;
CREATE TABLE country (id integer PRIMARY KEY, name text);
INSERT INTO country VALUES (1, 'CH'), (2, 'FR');
CREATE TABLE users (
    id         bigint PRIMARY KEY,
    name       text NOT NULL,
    bio        text,
    karma      integer NOT NULL DEFAULT 0 CONSTRAINT karma_is_positive CHECK (karma >= 0),
    country_id integer REFERENCES country,
    email      text UNIQUE,
    seen       json
);
COMMENT ON COLUMN users.bio IS 'In their own words';
ALTER TABLE users ALTER COLUMN bio SET STATISTICS 50;
GRANT SELECT ON users TO split_reader;
GRANT UPDATE (bio) ON users TO split_reader;
CREATE INDEX users_karma ON users (karma DESC) WHERE bio IS NOT NULL;
INSERT INTO users
SELECT g, 'n' || g, CASE WHEN g % 3 > 0 THEN 'bio ' || g END, g % 7, 1 + g % 2, 'e' || g, '{"a": 1}'
  FROM generate_series(1, 3000) g;

-- The plan shows every step, and nothing is done.
SELECT ordinal, step, lock_mode, blocks
  FROM zdm.plan($$SELECT zdm.split_table('users', 'user_profile', '{bio,karma,country_id,email,seen}')$$);
SELECT to_regclass('user_profile');

SELECT zdm.split_table('users', 'user_profile', '{bio,karma,country_id,email,seen}', name => 's');
SELECT zdm.split_table('users', 'user_profile', '{bio,karma,country_id,email,seen}', name => 's');
SELECT zdm.split_table('users', 'user_profile', '{bio}', name => 's');
CALL zdm.wait('s', 'ready', 60);
SELECT phase, state, message, progress, discrepancies, next_action FROM zdm.status WHERE name = 's';
SELECT count(*) FROM user_profile;

-- Old applications write to the wide table as ever: by whatever statement.
UPDATE users SET bio = 'new', karma = 9 WHERE id = 1;
UPDATE users SET name = 'renamed' WHERE id = 1;
INSERT INTO users (id, name, bio) VALUES (6000, 'x', 'y');
INSERT INTO users (id, name, bio) VALUES (6000, 'x', 'y') ON CONFLICT (id) DO UPDATE SET bio = 'z';
DELETE FROM users WHERE id = 2;
UPDATE users SET id = 7000 WHERE id = 3;
COPY users (id, name, bio, karma) FROM stdin;
6001	a	copied	4
6002	b	\N	5
\.
MERGE INTO users u USING (VALUES (6001, 'merged'), (6003, 'made')) v(id, bio) ON u.id = v.id
WHEN MATCHED THEN UPDATE SET bio = v.bio
WHEN NOT MATCHED THEN INSERT (id, name, bio) VALUES (v.id, 'm', v.bio);
SELECT * FROM user_profile WHERE id < 3 OR id > 5999 ORDER BY id;
-- A write that fails leaves nothing.
BEGIN;
UPDATE users SET bio = 'undone' WHERE id = 1;
ROLLBACK;
UPDATE users SET karma = -1 WHERE id = 1;
SELECT bio, karma FROM user_profile WHERE id = 1;
-- An old snapshot is no obstacle.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM country;
UPDATE users SET bio = 'by an old snapshot' WHERE id = 4;
COMMIT;
SELECT bio FROM user_profile WHERE id = 4;
SELECT zdm.verify('s');

-- An application without rights on the new table writes on.
GRANT INSERT, UPDATE, DELETE ON users TO split_reader;
SET ROLE split_reader;
INSERT INTO users (id, name, bio) VALUES (6100, 'plain', 'role');
UPDATE users SET bio = 'role again' WHERE id = 6100;
RESET ROLE;
SELECT bio FROM user_profile WHERE id = 6100;

-- What was parted behind our back is found, in both directions, and repaired.
SET session_replication_role = replica;
ALTER TABLE user_profile DISABLE TRIGGER USER;
UPDATE user_profile SET bio = 'stale' WHERE id = 10;
DELETE FROM user_profile WHERE id = 11;
ALTER TABLE users DISABLE TRIGGER USER;
DELETE FROM users WHERE id = 13;
RESET session_replication_role;
SELECT zdm.verify('s');
ALTER TABLE user_profile ENABLE ALWAYS TRIGGER "~zdm_sync_2", ENABLE ALWAYS TRIGGER "~zdm_sync_2_insert", ENABLE ALWAYS TRIGGER "~zdm_sync_2_truncate";
ALTER TABLE users ENABLE ALWAYS TRIGGER "~zdm_sync_2", ENABLE ALWAYS TRIGGER "~zdm_sync_2_truncate";
SELECT zdm.verify('s');
SELECT class, key, expected_value, actual_value FROM zdm.discrepancy WHERE name = 's' AND resolved_at IS NULL ORDER BY key;
SELECT zdm.cutover('s');
SELECT zdm.repair('s');
SELECT zdm.verify('s');

-- After cutover a new application uses both tables, and the wide one demands the columns no more.
SELECT zdm.cutover('s');
CALL zdm.wait('s', 'soak', 60);
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'karma';
UPDATE user_profile SET bio = 'from the part', karma = 2 WHERE id = 5;
SELECT bio, karma FROM users WHERE id = 5;
-- It inserts two rows; the second takes the place of the one that the first has left there.
INSERT INTO users (id, name) VALUES (8000, 'new code');
INSERT INTO user_profile (id, bio, karma) VALUES (8000, 'mine', 3) RETURNING id, bio, karma;
SELECT id, bio, karma FROM users WHERE id = 8000;
INSERT INTO user_profile (id, bio) VALUES (8000, 'again');
INSERT INTO user_profile (id, bio) VALUES (8000, 'again') ON CONFLICT (id) DO UPDATE SET bio = excluded.bio;
INSERT INTO user_profile (id, bio) VALUES (9999, 'of nobody');
DELETE FROM user_profile WHERE id = 8000;
SELECT id, name, bio, karma FROM users WHERE id = 8000;
-- What it has deleted does not come back because the other table's row is written.
UPDATE users SET name = repeat('long', 500) WHERE id = 8000;
SELECT count(*) FROM user_profile WHERE id = 8000;
-- An old application at the same time.
UPDATE users SET bio = 'from the wide table' WHERE id = 6;
SELECT bio FROM user_profile WHERE id = 6;
DELETE FROM users WHERE id = 7;
SELECT count(*) FROM user_profile WHERE id = 7;
SELECT zdm.verify('s');

-- There is a way back, once the rows can be told to an application that demands the columns.
SELECT zdm.revert('s');
CALL zdm.wait('s', 'ready', 60);
UPDATE users SET karma = 0 WHERE karma IS NULL;
SELECT zdm.resume('s');
CALL zdm.wait('s', 'ready', 60);
SELECT attnotnull FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'karma';
SELECT zdm.verify('s');

-- Contract: the columns are in the new table alone, with all that hung on them.
SELECT zdm.cutover('s');
CALL zdm.wait('s', 'soak', 60);
SELECT zdm.contract('s');
CALL zdm.wait('s', 'done', 60);
\d users
\d user_profile
SELECT attname, col_description(attrelid, attnum), attstattarget FROM pg_attribute WHERE attrelid = 'user_profile'::regclass AND attname = 'bio';
SELECT grantee::regrole, privilege_type FROM pg_class, aclexplode(relacl) WHERE relname = 'user_profile' AND grantee <> relowner;
SELECT attacl FROM pg_attribute WHERE attrelid = 'user_profile'::regclass AND attname = 'bio';
SELECT count(*), count(*) FILTER (WHERE p.id IS NULL) AS without FROM users u LEFT JOIN user_profile p USING (id);
DELETE FROM users WHERE id = 8;
SELECT count(*) FROM user_profile WHERE id = 8;
-- The migration file is run again.
SELECT zdm.split_table('users', 'user_profile', '{bio,karma,country_id,email,seen}', name => 's');
SELECT phase, next_action FROM zdm.status WHERE name = 's';

-- A key of several columns that change places in one statement, a serial column, TRUNCATE.
CREATE TABLE seat (
    hall   text COLLATE "C",
    number integer,
    guest  text,
    ticket serial,
    PRIMARY KEY (hall, number) DEFERRABLE
);
INSERT INTO seat (hall, number, guest) SELECT 'h' || g % 2, g, 'g' || g FROM generate_series(1, 100) g;
SELECT zdm.split_table('seat', 'ticket_of_seat', '{ticket}');
CALL zdm.wait('public.seat.ticket_of_seat', 'ready', 60);
UPDATE seat SET number = 201 - number WHERE number BETWEEN 100 AND 101;
INSERT INTO seat VALUES ('h1', 101, 'g', 500);
UPDATE seat SET number = 201 - number WHERE hall = 'h1' AND number IN (99, 101, 100);
UPDATE seat SET number = CASE number WHEN 1 THEN 3 ELSE 1 END WHERE hall = 'h1' AND number IN (1, 3);
SELECT hall, number, ticket FROM ticket_of_seat WHERE number < 5 OR number > 98 ORDER BY hall, number;
SELECT zdm.verify('public.seat.ticket_of_seat');
TRUNCATE seat;
SELECT count(*) FROM ticket_of_seat;
INSERT INTO seat (hall, number) VALUES ('h1', 1), ('h1', 2);
SELECT zdm.cutover('public.seat.ticket_of_seat');
CALL zdm.wait('public.seat.ticket_of_seat', 'soak', 60);
TRUNCATE ticket_of_seat;
SELECT hall, number, ticket FROM seat ORDER BY number;
SELECT zdm.contract('public.seat.ticket_of_seat');
CALL zdm.wait('public.seat.ticket_of_seat', 'done', 60);
INSERT INTO ticket_of_seat (hall, number) VALUES ('h1', 1) RETURNING ticket;
SELECT pg_get_serial_sequence('ticket_of_seat', 'ticket');

-- Abort: as it was.
CREATE TABLE note (id integer PRIMARY KEY, head text, body text);
INSERT INTO note SELECT g, 'h', 'b' FROM generate_series(1, 100) g;
SELECT zdm.split_table('note', 'note_body', '{body}', name => 'n');
CALL zdm.wait('n', 'ready', 60);
SELECT zdm.abort('n');
CALL zdm.wait('n', 'aborted', 60);
\d note
SELECT to_regclass('note_body');
-- The new table is dropped beside us: writes go on, and the migration says what is wrong.
SELECT zdm.split_table('note', 'note_body', '{body}', name => 'n');
CALL zdm.wait('n', 'ready', 60);
DROP TABLE note_body;
UPDATE note SET body = 'alone' WHERE id = 1;
SELECT zdm.verify('n');
SELECT zdm.abort('n');
CALL zdm.wait('n', 'aborted', 60);
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'note'::regclass;

-- What cannot be split is refused at once, and named.
SELECT zdm.split_table('note', 'note_body', '{}');
SELECT zdm.split_table('note', 'note_body', '{nothing}');
SELECT zdm.split_table('note', 'note_body', '{body,body}');
SELECT zdm.split_table('note', 'note_body', '{id}');
SELECT zdm.split_table('note', 'users', '{body}');
SELECT zdm.split_table('note', 'nowhere.note_body', '{body}');
CREATE VIEW note_view AS SELECT id, body FROM note;
SELECT zdm.split_table('note', 'note_body', '{body}');
DROP VIEW note_view;
CREATE INDEX note_both ON note (head, body);
SELECT zdm.split_table('note', 'note_body', '{body}');
DROP INDEX note_both;
ALTER TABLE note ADD CONSTRAINT short CHECK (length(head) + length(body) < 100);
SELECT zdm.split_table('note', 'note_body', '{body}');
ALTER TABLE note DROP CONSTRAINT short;
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
SELECT zdm.split_table('note', 'note_body', '{body}');
ALTER TABLE note DISABLE ROW LEVEL SECURITY;
CREATE TABLE keyless (a integer, b integer);
SELECT zdm.split_table('keyless', 'other', '{b}');
SET ROLE split_reader;
SELECT zdm.split_table('note', 'note_body', '{body}');
RESET ROLE;

-- Directly, for test databases.
SET zdm.mode = direct;
SELECT zdm.split_table('note', 'note_body', '{body}');
RESET zdm.mode;
\d note
SELECT * FROM note_body WHERE id = 1;

DROP TABLE users, user_profile, country, seat, ticket_of_seat, note, note_body, keyless;
DROP EXTENSION zdm CASCADE;
DROP ROLE split_reader;
