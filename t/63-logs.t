# SPDX-License-Identifier: BSD-2-Clause
#
# The log: whole lines of all processes, the forms that flags ask for, and
# mistakes in them.

use strict;
use warnings;

use JSON::PP;
use Test::More;
use Test::Metrics;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

# --- lines --------------------------------------------------------------------

my $level = qr/debug|info|warn|error/;
my $line = qr/(?:master|worker[ ]\d|merge|retention|recover)\[\d+\]\t
    [a-z]+\/\w+\.c:\d+\t/x;
my $time = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}/;

my $spoor = Test::Spoor->new(conf => { 'log.level' => 'DEBUG', workers => 3 });
$spoor->start;
my @children = map {
    my $pid = fork;
    if (!$pid) {
        for (1 .. 30) {
            $spoor->get("/nothing/%1b%0a%ff/\x{7f}/" . 'x' x 100);
            post_traces($spoor, resource_spans("a\nb\t\x{1b}",
                otlp_span(traceId => '0' x 32, name => "n\r\n2026")));
        }
        POSIX::_exit(0);
    }
    $pid;
} 1 .. 3;
waitpid $_, 0 for @children;
# What was swallowed is said in the next second.
select undef, undef, undef, 2.5;
$spoor->stop;
my @lines = split /\n/, $spoor->log;
my @wrong = grep { !/^${time}Z\t$level\t$line[^\x00-\x1f\x7f]*\z/ } @lines;
cmp_ok scalar @lines, '>', 60, scalar @lines . ' lines';
is_deeply \@wrong, [], 'each is whole, and nothing is forged';
my %pids = map { /\[(\d+)\]/ ? ($1 => 1) : () } @lines;
cmp_ok scalar keys %pids, '>=', 6, 'of all processes';
ok scalar(grep { /more lines like this/ } @lines),
    'what was too much is counted';

# --- forms --------------------------------------------------------------------

sub run_with {
    my (@flags) = @_;
    my $server = Test::Spoor->new(args => \@flags);

    $server->start;
    give_load($server);
    my $suppressed = $server->metric('spoor_log_suppressed_total');
    $server->stop;
    return ([split /\n/, $server->log], $suppressed);
}

my ($json) = run_with('-loggerFormat=json', '-loggerJSONFields=msg:message');
@wrong = grep {
    my $object = eval { JSON::PP->new->utf8->decode($_) };
    join(' ', sort keys %{$object || {}}) ne 'caller level message process ts'
} @$json;
cmp_ok scalar @$json, '>', 5, 'JSON lines';
is_deeply \@wrong, [], 'with these keys';
like $json->[0], qr/^\{"ts":"${time}Z","level":"info","caller":"[a-z]+\/
    \w+\.c:\d+","message":"/x, 'in this order';

my ($plain, $suppressed) = run_with('-loggerDisableTimestamps',
    '-loggerWarnsPerSecondLimit=1', '-loggerMaxArgLen=60');
is_deeply [grep { !/^$level\t$line[^\t]{0,60}\z/ } @$plain], [],
    'no time, short messages';
ok scalar(grep { /\.\./ } @$plain), 'cut in the middle';
cmp_ok $suppressed, '>', 0, 'fewer warnings';

SKIP: {
    skip 'no time zones are installed', 1
        unless -e '/usr/share/zoneinfo/Asia/Kolkata';
    my ($local) = run_with('-loggerTimezone=Asia/Kolkata');
    is_deeply [grep { !/^$time\+05:30\t/ } @$local], [], 'a time zone';
}

# --- stdout -------------------------------------------------------------------

my $port = free_port();
my $dir = $spoor->dir;
my $out = run_command(['timeout', '-s', 'TERM', '3', spoor_bin(),
    "-httpListenAddr=127.0.0.1:$port", "-storageDataPath=$dir/stdout-data",
    '-loggerOutput=stdout'], seconds => 30);
like $out->{out}, qr/\tready: /, 'the log is on standard output';
is $out->{err}, '', 'and not on standard error';

# --- mistakes -----------------------------------------------------------------

for my $case (
    ['log.timezone' => 'Mars/Olympus', qr/is the time zone "Mars\/Olympus", which is not in/],
    ['log.timezone' => '../../etc/passwd', qr/, which is not in/],
    ['log.json_fields' => 'time:ts', qr/"time:ts", which is not OLD:NEW/],
    ['log.json_fields' => 'ts', qr/"ts", which is not OLD:NEW/],
    ['log.json_fields' => 'ts:' . 'x' x 100, qr/a name for "ts" that is too long/],
) {
    my ($name, $value, $error) = @$case;
    $spoor->write_conf('log.timezone' => undef, 'log.json_fields' => undef,
        $name => $value);
    my $result = run_command([spoor_bin(), '-t', '-c', $spoor->conf_file]);
    is $result->{status}, 1, "$name: $value is a mistake";
    like $result->{err}, qr/spoor\.yaml:\d+:\d+: error: "\Q$name\E" .*$error/,
        'with its place';
}

done_testing;
