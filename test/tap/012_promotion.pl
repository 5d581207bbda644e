# A primary and a streaming standby, both preloaded, and a migration in backfill. The standby shows the state and
# refuses every call with 25006. When the primary dies and the standby is promoted, the migration goes on there
# by itself, from the place that had been replicated, to ready.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf',
    "shared_preload_libraries = 'zdm'\nmax_worker_processes = 16\nautovacuum = off");
$primary->start;
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{
    CREATE EXTENSION zdm;
    CREATE TABLE t (id serial PRIMARY KEY, v integer NOT NULL DEFAULT 0 CHECK (v >= 0));
    INSERT INTO t (v) SELECT g % 1000 FROM generate_series(1, 300000) g;
    CREATE INDEX t_v ON t (v);
    VACUUM ANALYZE t});
$primary->safe_psql('postgres', q{
    SET zdm.pace = '0.01';
    SELECT zdm.change_type('t', 'v', 'bigint', name => 'm')});
$primary->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM zdm.scan WHERE next_block > 0 AND NOT done)})
    or die 'the backfill did not begin';
# Of this some is before the cursor and some behind it.
$primary->safe_psql('postgres', 'UPDATE t SET v = v + 1 WHERE id % 1000 = 0');
$primary->wait_for_catchup($standby);

# --- The standby: look, do not touch.
is($standby->safe_psql('postgres', q{SELECT phase || ' ' || state FROM zdm.status}), 'backfill waiting',
    'the standby shows the phase');
like($standby->safe_psql('postgres', 'SELECT message FROM zdm.status'), qr/this is a standby.*after promotion/,
    'and says when work goes on');
for my $call (
    q{SELECT zdm.change_type('t', 'id', 'bigint')},
    q{SELECT zdm.rename_column('t', 'v', 'w')},
    q{SELECT zdm.cutover('m')},
    q{SELECT zdm.revert('m')},
    q{SELECT zdm.contract('m')},
    q{SELECT zdm.abort('m')},
    q{SELECT zdm.pause('m')},
    q{SELECT zdm.resume('m')},
    q{SELECT zdm.configure('m', 'pace', 'full')})
{
    my ($code, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\n$call");
    like($err, qr/ERROR:\s+25006$/, "$call: 25006");
}
# These are refused before ready wherever they are asked for.
for my $call (q{SELECT zdm.verify('m')}, q{SELECT zdm.repair('m')})
{
    my ($code, $out, $err) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\n$call");
    like($err, qr/ERROR:\s+(25006|ZD007)$/, "$call: refused");
}
# Scheduled jobs run on the standby too; there they are quiet or refused, and never start a worker.
$standby->psql('postgres', 'SELECT zdm.wake()');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'zdm %'}), '0',
    'nothing of zdm runs on the standby');

# --- Promotion.
my $before = $standby->safe_psql('postgres', q{SELECT next_block FROM zdm.scan WHERE kind = 'backfill'});
cmp_ok($before, '>', 0, 'the place in the backfill is replicated');
$primary->stop('immediate');
$standby->promote;
$standby->poll_query_until('postgres', "SELECT next_block > $before FROM zdm.scan WHERE kind = 'backfill'")
    or die 'it does not go on';
pass('after promotion the backfill goes on by itself');
$standby->safe_psql('postgres', 'UPDATE t SET v = v + 1 WHERE id % 1000 = 1');
$standby->safe_psql('postgres', q{SELECT zdm.configure('m', 'pace', 'full')});
$standby->poll_query_until('postgres', q{SELECT phase = 'ready' AND state = 'idle' FROM zdm.status}) or die 'not ready';
is($standby->safe_psql('postgres', q{SELECT zdm.verify('m')}), '0', 'ready with 0 discrepancies');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t WHERE v IS DISTINCT FROM zdm_new_v'), '0', 'every row is copied');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t WHERE v <> id % 1000 + (id % 1000 IN (0, 1))::integer'), '0',
    'no write of either server is lost');

# --- And to the end.
$standby->safe_psql('postgres', q{SELECT zdm.cutover('m')});
$standby->safe_psql('postgres', q{CALL zdm.wait('m', 'soak', 60)});
$standby->safe_psql('postgres', q{SELECT zdm.contract('m')});
$standby->safe_psql('postgres', q{CALL zdm.wait('m', 'done', 60)});
is($standby->safe_psql('postgres', q{SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'}),
    'bigint', 'the new server finishes the migration');
unlike(slurp_file($standby->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no crash on the standby');
$standby->stop;
done_testing();
