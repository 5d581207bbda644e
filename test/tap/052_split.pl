# A table is split in two under load: by applications that know the wide table, by those that know both, and by both
# at once; killed at every step; with writers in mid-transaction where it is most awkward.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\nlog_lock_waits = on");
$node->start;

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub pause { my ($seconds) = @_; select(undef, undef, undef, $seconds); return; }
sub until_true
{
    my ($sql, $what) = @_;
    $node->poll_query_until('postgres', $sql) or die "waited in vain for $what: " . value('SELECT * FROM zdm.status');
    return;
}
sub reach
{
    my ($phase) = @_;
    value("CALL zdm.wait('s', '$phase', 120)");
    is(value(q{SELECT zdm.verify('s')}), '0', "$phase: the two tables agree");
    return;
}

# bio says what karma is, in whatever statement: rows that are half of one write and half of another would show.
my $tables = q{
    CREATE TABLE country (id integer PRIMARY KEY);
    INSERT INTO country SELECT generate_series(1, 10);
    CREATE TABLE users (
        id bigint PRIMARY KEY, name text NOT NULL, visits integer NOT NULL DEFAULT 0,
        bio text NOT NULL DEFAULT 'k0', karma integer NOT NULL DEFAULT 0 CHECK (karma >= 0),
        country_id integer REFERENCES country, padding text);
    CREATE INDEX users_karma ON users (karma);
    CREATE UNIQUE INDEX users_bio ON users (id, bio);
    INSERT INTO users SELECT g, 'n' || g, 0, 'k' || g % 50, g % 50, 1 + g % 10, repeat('x', 200) FROM generate_series(1, 50000) g;
};
my $split = q{SELECT zdm.split_table('users', 'profile', '{bio,karma,country_id}', name => 's')};

my %scripts = (
    # Knows the wide table only: odd keys.
    old => q{
\set id random(0, 24999) * 2 + 1
\set fresh random(50000, 500000000) * 2 + 1
\set karma random(0, 1000)
BEGIN;
UPDATE users SET bio = 'k' || :karma, karma = :karma WHERE id = :id;
UPDATE users SET visits = visits + 1, padding = repeat('y', :karma) WHERE id = :id + 2;
INSERT INTO users (id, name, bio, karma, country_id) VALUES (:fresh, 'new', 'k' || :karma, :karma, 3)
    ON CONFLICT (id) DO UPDATE SET bio = excluded.bio, karma = excluded.karma;
INSERT INTO users (id, name) VALUES (:fresh + 2000000000::bigint, 'defaults') ON CONFLICT DO NOTHING;
DELETE FROM users WHERE id = :id + 4;
UPDATE users SET id = id + 1000000000 WHERE id = :id + 6;
END;
BEGIN;
UPDATE users SET bio = 'never', karma = 77 WHERE id = :id + 8;
ROLLBACK;
},
    # Knows both tables: even keys.
    new => q{
\set id random(1, 25000) * 2
\set fresh random(50000, 500000000) * 2
\set karma random(0, 1000)
BEGIN;
UPDATE profile SET bio = 'k' || :karma, karma = :karma WHERE id = :id;
UPDATE users SET visits = visits + 1, padding = repeat('z', :karma) WHERE id = :id + 2;
INSERT INTO users (id, name) VALUES (:fresh, 'newer') ON CONFLICT DO NOTHING;
INSERT INTO profile (id, bio, karma, country_id) VALUES (:fresh, 'k' || :karma, :karma, 4)
    ON CONFLICT (id) DO UPDATE SET bio = excluded.bio, karma = excluded.karma;
DELETE FROM users WHERE id = :id + 4;
END;
BEGIN;
UPDATE profile SET bio = 'never', karma = 77 WHERE id = :id + 8;
ROLLBACK;
});
my $folder = PostgreSQL::Test::Utils::tempdir();
append_to_file("$folder/$_.sql", $scripts{$_}) for keys %scripts;
local %ENV = $node->_get_env();

sub start_load
{
    my ($which, $seconds) = @_;
    my %load = (out => '', err => '', which => $which);
    $load{run} = IPC::Run::start(
        [ 'pgbench', '-n', '-f', "$folder/$which.sql", '-c', '3', '-R', '150', '-T', $seconds, '--max-tries=1', 'postgres' ],
        '<', \undef, '>', \$load{out}, '2>', \$load{err});
    return \%load;
}

sub end_load
{
    my ($load) = @_;
    $load->{run}->finish;
    is($load->{run}->result(0), 0, "$load->{which} application: pgbench ended well") or diag($load->{err});
    like($load->{out}, qr/number of failed transactions: 0 /, "$load->{which} application: no transaction failed")
        or diag("$load->{out}\n$load->{err}");
    return;
}

sub whole_rows
{
    my ($table) = @_;
    is(value("SELECT count(*) FROM $table WHERE bio <> 'k' || karma"), '0', "$table: every row is of one write");
    return;
}

# --- The whole life under load
value('CREATE EXTENSION zdm');
value($tables);
my $load = start_load('old', 12);
pause(0.5);
value("SET zdm.pace = '0.3'; $split");
reach('ready');
end_load($load);
whole_rows($_) for 'users', 'profile';

my @both = (start_load('old', 14), start_load('new', 14));
for my $round (1 .. 2)
{
    value(q{SELECT zdm.cutover('s')});
    reach('soak');
    pause(2);
    is(value(q{SELECT zdm.verify('s')}), '0', 'soak: the two tables agree');
    value(q{SELECT zdm.revert('s')});
    reach('ready');
    pause(1);
}
value(q{SELECT zdm.cutover('s')});
reach('soak');
end_load($_) for @both;
is(value(q{SELECT zdm.verify('s')}), '0', 'after both: the two tables agree');
whole_rows($_) for 'users', 'profile';
my $rows = value(q{SELECT md5(string_agg(u::text, ',' ORDER BY id)) FROM (SELECT id, bio, karma, country_id FROM users) u});

$load = start_load('new', 6);
pause(0.5);
value(q{SELECT zdm.contract('s')});
value(q{CALL zdm.wait('s', 'done', 60)});
end_load($load);
whole_rows('profile');
is(value(q{SELECT count(*) FROM users u FULL JOIN profile p USING (id) WHERE u.id IS NULL OR p.id IS NULL}), '0', 'done: row by row');
is(value(q{SELECT string_agg(conname || ' ' || convalidated, ', ' ORDER BY conname) FROM pg_constraint
            WHERE conrelid = 'profile'::regclass AND contype <> 'n'}),
    'profile_id_fkey true, profile_pkey true, users_country_id_fkey true, users_karma_check true', 'done: all constraints are there');
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');
note(value(q{SELECT format('longest hold %s ms, longest wait %s ms', max(longest_hold_ms), max(longest_wait_ms)) FROM zdm.step}));

# --- Killed at some place of it, again and again
value("DROP TABLE users, profile, country; $tables");
my $kills = 0;
value("SET zdm.pace = '0.3'; $split");
for my $goal ([ 'ready' ], [ 'soak', 'cutover' ], [ 'ready', 'revert' ], [ 'soak', 'cutover' ], [ 'done', 'contract' ])
{
    my ($phase, $call) = @$goal;
    value("SELECT zdm.$call('s')") if $call;
    for my $try (1 .. ($call ? 2 : 6))
    {
        pause(0.02 * $try * $try);
        my $pid = value('SELECT coalesce(zdm.worker_pid(), 0)');
        next if $pid eq '0';
        my $log = -s $node->logfile;
        kill 9, $pid;
        $kills++;
        # The postmaster restarts all of the server for it; or the worker had just left by itself.
        for my $attempt (1 .. 300)
        {
            my $said = slurp_file($node->logfile, $log);
            last if $said =~ /ready to accept connections/ || ($attempt > 20 && $said !~ /was terminated by signal 9/);
            pause(0.1);
        }
        pause(0.1) until $node->psql('postgres', 'SELECT zdm.wake()') == 0;
    }
    $phase eq 'done' ? value(q{CALL zdm.wait('s', 'done', 120)}) : reach($phase);
}
cmp_ok($kills, '>=', 4, "killed $kills times");
is(value(q{SELECT count(*) FROM profile}), '50000', 'killed: every row is there');
is(value(q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~zdm%'}), '0', 'killed: nothing of zdm is left');

# --- Writers in mid-transaction while their rows are to be copied
value("DROP TABLE users, profile, country; $tables");
sub session
{
    my ($sql) = @_;
    my ($in, $out, $err) = ("$sql; SELECT 'held';\n", '', '');
    my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
        '<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
    pump $session until $out =~ /held/ or $err ne '';
    is($err, '', $sql);
    return { run => $session, in => \$in, out => \$out, err => \$err };
}
sub finish
{
    my ($session, $sql) = @_;
    ${ $session->{in} } .= "$sql;\n\\q\n";
    $session->{run}->finish;
    is(${ $session->{err} }, '', $sql);
    return;
}
value("SET zdm.pace = '0.05'; $split");
until_true(q{SELECT EXISTS (SELECT FROM zdm.status WHERE name = 's' AND phase = 'backfill')}, 'the backfill');
# These come after expand: their triggers find nothing to delete or to change in the new table yet.
my @writers = map { session("BEGIN; $_") } 'DELETE FROM users WHERE id = 49990', q{UPDATE users SET bio = 'k5', karma = 5 WHERE id = 49991},
    'UPDATE users SET id = 99992 WHERE id = 49992', q{UPDATE users SET bio = 'k6', karma = 6 WHERE id = 49993},
    'SELECT FROM users WHERE id = 49994 FOR UPDATE', q{INSERT INTO users (id, name) VALUES (60000, 'late')};
value(q{SELECT zdm.configure('s', 'zdm.pace', 'full')});
until_true(q{SELECT EXISTS (SELECT FROM zdm.status WHERE name = 's' AND state = 'waiting'
                      AND message LIKE 'waits for % block% of % with rows that others are writing')},
    'the backfill to say what it waits for');
is(value(q{SELECT count(*) FROM profile WHERE id BETWEEN 49990 AND 49994}), '0', 'rows that are being written are left alone');
finish($_, 'COMMIT') for @writers[ 0, 1, 2, 4, 5 ];
finish($writers[3], 'ROLLBACK');
reach('ready');
is(value(q{SELECT string_agg(id || ' ' || karma, ', ' ORDER BY id) FROM profile WHERE id BETWEEN 49990 AND 49994 OR id IN (60000, 99992)}),
    '49991 5, 49993 43, 49994 44, 60000 0, 99992 42', 'each as its writer has left it');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|signal (4|6|7|8|11)\b/, 'nobody crashed but by our hand');
$node->stop;
done_testing();
