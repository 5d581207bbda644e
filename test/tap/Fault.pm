# What the tests of faults share: one server, sessions that are in the way, writers beside, crashes, and what must be
# true whatever happens: no transaction of the application fails, nothing is lost, nobody crashes but by our hand.
package Fault;

use strict;
use warnings;
use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_server node value until_true status pause hold let_go start_writers end_writers lost_writers kill_worker
    stop_at_once wake finish);

my $node;
sub node { return $node; }

# Settings as lines of postgresql.conf, options of Cluster::init; WAL segments of 1 MB, so that a few MB are a backlog.
sub start_server
{
    my ($settings, %options) = @_;
    $node = PostgreSQL::Test::Cluster->new('main');
    $node->init(extra => ['--wal-segsize=1'], %options);
    $node->append_conf('postgresql.conf', "max_worker_processes = 8\nmax_connections = 80\nrestart_after_crash = on\n"
        . "autovacuum = off\nfsync = on\nwal_level = replica\n$settings");
    $node->start;
    value('CREATE EXTENSION zdm; CREATE TABLE flushed (at timestamptz)');
    return;
}

sub value { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }
sub pause { my ($seconds) = @_; select(undef, undef, undef, $seconds); return; }
sub status { return value(q{SELECT format('%s %s: %s [%s]', phase, state, message, throttled_by) FROM zdm.status ORDER BY started_at}); }

# Nothing that is waited for takes more than a few seconds; a busy machine may make them more.
sub until_true
{
    my ($sql, $what) = @_;
    my $until = time + 60;
    while (time < $until)
    {
        return if value("SELECT ($sql)::boolean") eq 't';
        pause(0.1);
    }
    die "waited in vain for $what: " . status();
}

# A session with a transaction that stays open until let_go, or until a crash ends it.
sub hold
{
    my ($transaction) = @_;
    my %session = (in => "$transaction;\nSELECT 'held';\n", out => '', err => '');
    $session{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
        '<', \$session{in}, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(120));
    pump { $session{handle} } until $session{out} =~ /held/;
    return \%session;
}

# Runs more in it, and ends it. Returns what the last statements printed; dies of their errors.
sub let_go
{
    my ($session, $sql) = @_;
    $session->{out} = '';
    $session->{in} .= ($sql // 'COMMIT') . ";\n\\q\n";
    $session->{handle}->finish;
    die "a session that was in the way met an error: $session->{err}" if $session->{err} ne '';
    chomp $session->{out};
    return $session->{out};
}

# pgbench with a script, until end_writers.
sub start_writers
{
    my ($name, $script, @options) = @_;
    my $file = $node->basedir . "/$name.sql";
    append_to_file($file, $script) unless -e $file;
    my %writers = (name => $name, out => '', err => '');
    local %ENV = $node->_get_env();
    $writers{handle} = IPC::Run::start(
        [ 'pgbench', '-n', '-j', '1', '-T', '600', '--max-tries=1', @options, '-f', $file, 'postgres' ],
        '<', \undef, '>', \$writers{out}, '2>', \$writers{err});
    return \%writers;
}

# Not one of them has failed. Returns how many transactions there were.
sub end_writers
{
    my ($writers) = @_;
    # This is how -T ends.
    $writers->{handle}->signal('ALRM');
    $writers->{handle}->finish;
    my $name = $writers->{name};
    is($writers->{handle}->result(0), 0, "$name: pgbench ended well") or diag($writers->{err});
    like($writers->{out}, qr/number of failed transactions: 0 /, "$name: no transaction failed")
      or diag("$writers->{out}\n$writers->{err}");
    my ($count) = $writers->{out} =~ /number of transactions actually processed: (\d+)/;
    cmp_ok($count, '>', 0, "$name: there were some");
    return $count;
}

# They have lost their connections to a crash. Returns what they said of it.
sub lost_writers
{
    my ($writers) = @_;
    $writers->{handle}->finish;
    return $writers->{err};
}

# kill -9: the server ends all sessions and recovers. What was committed without waiting for the disk is
# on it before, so that the test knows what must be there after.
sub kill_worker
{
    value('INSERT INTO flushed VALUES (now())');
    my $pid = value('SELECT zdm.worker_pid()');
    die 'no worker to kill: ' . status() if $pid eq '';
    my $log = -s $node->logfile;
    kill 9, $pid;
    for my $attempt (1 .. 300)
    {
        last if slurp_file($node->logfile, $log) =~ /database system is ready to accept connections/;
        die 'the server does not recover' if $attempt == 300;
        pause(0.1);
    }
    wake();
    return;
}

# As if the power failed.
sub stop_at_once
{
    value('INSERT INTO flushed VALUES (now())');
    $node->stop('immediate');
    $node->start;
    like(value('SELECT state || message FROM zdm.status ORDER BY started_at DESC LIMIT 1'), qr/^waiting.*no worker runs/, 'after a power failure status says that nobody works');
    wake();
    return;
}

sub wake
{
    my $attempt = 0;
    while ($node->psql('postgres', 'SELECT zdm.wake()') != 0)
    {
        die 'the server does not answer' if ++$attempt > 300;
        pause(0.1);
    }
    return;
}

sub finish
{
    my $log = slurp_file($node->logfile);
    unlike($log, qr/deadlock detected/, 'no deadlock');
    unlike($log, qr/PANIC|TRAP|signal (4|6|7|8|11)\b/, 'nobody crashed but by our hand');
    $node->stop;
    done_testing();
    return;
}

1;
