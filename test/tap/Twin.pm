# What the tests share that hold a schema against its twin, which plain DDL has changed.
package Twin;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(schema_of);

# The schema of those tables (patterns of pg_dump -t) as text. options: more of pg_dump's.
sub schema_of
{
    my ($node, $database, $tables, @options) = @_;
    my ($out, $err) = run_command([ 'pg_dump', '-s', '-N', 'zdm', @options, '-d', $node->connstr($database), map { ('-t', $_) } @$tables ]);
    die $err if $err ne '';
    # Newer minor versions give every dump a key of its own.
    $out =~ s/^\\(un)?restrict.*\n//mg;
    return $out;
}

1;
