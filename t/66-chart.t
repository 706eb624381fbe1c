#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Started as the Helm chart of VictoriaTraces starts its server: the same
# arguments and variables, an ordinary user without any right, a root that is
# read-only but for /storage, JSON logs; then stopped as a pod is.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use FindBin qw($Bin);
use HTTP::Tiny;
use JSON::PP;
use lib "$Bin/lib";
use POSIX qw(:sys_wait_h);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $user = 1000;
my $dir = tempdir('spoor-chart-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $bin = abs_path(spoor_bin());
my $port = free_port();
my $log = "$dir/log";

# In a mount namespace: a root of bind mounts on a read-only tmpfs, where only
# /storage can be written, as the pod's volume.
my $script = <<'END';
set -eu
root=$1 storage=$2 app=$3
shift 3
mount -t tmpfs -o mode=755 none "$root"
for d in usr bin sbin lib lib32 lib64 libx32 etc; do
    if [ -L "/$d" ]; then
        cp -P "/$d" "$root/$d"
    elif [ -d "/$d" ]; then
        mkdir "$root/$d"
        mount --bind "/$d" "$root/$d"
        mount -o remount,bind,ro "$root/$d"
    fi
done
mkdir "$root/dev" "$root/proc" "$root/storage" "$root/app"
for d in null zero random urandom; do
    : > "$root/dev/$d"
    mount --bind "/dev/$d" "$root/dev/$d"
done
mount --rbind /proc "$root/proc"
mount --bind "$app" "$root/app"
mount -o remount,bind,ro "$root/app"
mount --bind "$storage" "$root/storage"
mount -o remount,ro "$root"
cd "$root"
exec chroot "$root" "$@"
END
my @isolated = ('unshare', '-m', '--propagation', 'private', 'sh', '-c',
    $script, 'sh', "$dir/root", "$dir/storage", dirname($bin));
my @dropped = ('/usr/bin/setpriv', '--reuid', $user, '--regid', $user,
    '--clear-groups', '--no-new-privs', '--bounding-set', '-all',
    '--inh-caps', '-all');

mkdir "$dir/root";
mkdir "$dir/storage";
chown $user, $user, "$dir/storage";
plan skip_all => 'needs root' if $> != 0;
my $probe = run_command([@isolated, @dropped, '/bin/sh', '-c',
    'touch /storage/x && ! touch /x && ! touch /etc/x && rm /storage/x']);
plan skip_all => "no mount namespaces here: $probe->{err}"
    if $probe->{status} != 0;

# The chart's own arguments and two of a values file.
my @args = ('--envflag.enable=true', '--envflag.prefix=VM_',
    "--httpListenAddr=:$port", '--http.shutdownDelay=2s',
    '--loggerFormat=json', '--retentionPeriod=1', '--storageDataPath=/storage',
    '--fs.disableMmap=true', '--search.latencyOffset=0s');
my %env = (
    VM_loggerLevel => 'INFO', VM_search_maxTraces => 77,
    VM_memory_allowedPercent => 50, VM_internStringMaxLen => 300,
    VM_storageDataPath => '/nowhere', HOME => '/', SPOOR_BIN => '',
);

sub start {
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        setpgrp 0, 0;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        @ENV{keys %env} = values %env;
        exec { $isolated[0] } @isolated, @dropped, '/app/spoor', @args
            or POSIX::_exit(127);
    }
    return $pid;
}

my $http = HTTP::Tiny->new(timeout => 5, keep_alive => 0);
my $url = "http://127.0.0.1:$port";
sub get { return $http->get("$url$_[0]") }
sub health { return get('/health')->{status} }

sub log_objects {
    return map { eval { decode_json($_) } || { bad => $_ } }
        split /\n/, slurp($log);
}

my $pid = start();
my $since = time;
END { kill 'KILL', -$pid if $pid }
ok wait_for(sub { health() == 200 }, 30), 'the pod is ready'
    or BAIL_OUT(slurp($log));
note sprintf 'ready after %.2f s', time - $since;

my @objects = log_objects();
is scalar(grep { $_->{bad} } @objects), 0, 'the log is JSON'
    or diag(map { $_->{bad} || () } @objects);
is scalar(grep { $_->{level} && $_->{level} =~ /error|fatal/i } @objects), 0,
    'without an error';
my @warnings = map { $_->{msg} } grep { lc($_->{level} || '') eq 'warn' }
    @objects;
is_deeply [sort grep { /has no effect/ } @warnings], [
    'command line: warning: -fs.disableMmap has no effect:'
        . ' parts are read, not mapped',
    grep({ /latencyOffset/ } @warnings),
    'environment: warning: VM_internStringMaxLen has no effect:'
        . ' there is no such cache',
], 'flags without effect are named';
my $flags = get('/flags')->{content};
for my $want ('storageDataPath="/storage"', 'search.maxTraces="77"',
    'memory.allowedPercent="50"', 'retentionPeriod="1"',
    'http.shutdownDelay="2s"') {
    like $flags, qr/^-?\Q$want\E$/m, $want;
}

my @pids = grep { /^\d+$/ } split /\s+/, qx(ps -o pid= -g $pid -A | cat);
my %uids;
for my $status (glob '/proc/[0-9]*/status') {
    my $text = slurp($status);
    next unless $text =~ /^NSpid:|^Pid:/m && $text =~ /^Name:\s+spoor/m;
    my ($id) = $status =~ m{/(\d+)/};
    next unless getpgrp($id) == $pid;
    my ($uid) = $text =~ /^Uid:\s+(\d+)/m;
    my ($caps) = $text =~ /^CapEff:\s+(\S+)/m;
    $uids{"$uid $caps"}++;
}
is_deeply [keys %uids], ["$user 0000000000000000"],
    'all processes are that user without any right';

my $span = otlp_span(name => 'from a pod');
my $reply = $http->post("$url/insert/opentelemetry/v1/traces", {
    content => otlp_json($span),
    headers => { 'content-type' => 'application/json' },
});
is $reply->{status}, 200, 'a span goes in' or diag($reply->{content});
sub is_found {
    my $got = get("/select/jaeger/api/traces/$span->{traceId}")->{content};
    return $got =~ /from a pod/;
}
ok is_found(), 'and is found';
is scalar(grep { (stat)[4] != $user } glob "$dir/storage/*"), 0,
    'files on the volume are the user\'s';

# --- the end of the pod -------------------------------------------------------

$since = time;
kill 'TERM', $pid;
ok wait_for(sub { health() == 503 }, 1.5), '/health says 503 after a TERM';
ok is_found(), 'while queries are answered';
my $status;
ok wait_for(sub { waitpid($pid, WNOHANG) == $pid && defined($status = $?) },
    30), 'it ends';
my $took = time - $since;
is $status, 0, 'with status 0';
cmp_ok $took, '>=', 2, 'not before the delay';
cmp_ok $took, '<', 20, 'and soon after it';
is scalar(grep { $_->{bad} } log_objects()), 0, 'all of the log is JSON';

$pid = start();
ok wait_for(sub { health() == 200 }, 30), 'the next pod is ready';
ok is_found(), 'and has the span';
kill 'TERM', $pid;
ok wait_for(sub { waitpid($pid, WNOHANG) == $pid }, 30), 'it ends, too';
undef $pid;

done_testing();
