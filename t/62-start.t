# SPDX-License-Identifier: BSD-2-Clause
#
# Starts that cannot be, or have to wait: the directory is in use, the master
# was killed, the pid file cannot be written, the root is read-only.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $spoor = Test::Spoor->new(conf => { workers => 1 });
$spoor->start;
ok $spoor->wait_log(qr/ready: 1 worker/), 'a server';

# --- the data of another server -------------------------------------------------

my $other = Test::Spoor->new(conf => { workers => 1,
    'storage.path' => $spoor->data_dir });
$other->write_conf(pid => $other->dir . '/own.pid');
$other->start_nowait;
my $pid = $spoor->pid;
ok $other->wait_log(
    qr/warn.*\Q@{[$spoor->data_dir]}\E is in use by process $pid \(spoor\), waiting/),
    'it says who has the directory';
is $spoor->stop, 0, 'that one ends';
ok wait_for(sub { $other->get('/health')->{status} == 200 }, 10),
    'then this one starts';
like $other->log, qr/info.*is free/, 'and says so';
is $other->stop, 0, 'stops';

# --- the master is killed ---------------------------------------------------------

$spoor->start;
is $spoor->post('/v1/traces', otlp_json(otlp_span(name => 'kept')),
    { otlp_type('json') })->{status}, 200, 'a span';
$spoor->signal('KILL');
$spoor->wait_exit(5);
my $again = Test::Spoor->new(dir => $spoor->dir, port => $spoor->port,
    conf => { workers => 1 });
rename $spoor->log_file, $spoor->log_file . '.1';
# A child that cannot leave for a moment: it has the lock of one that is gone.
ok wait_for(sub { !Test::Spoor::_group_lives($spoor->{group}) }, 10),
    'kill -9 of the master: its children leave';
pipe my $reader, my $writer;
my $master = fork();
if ($master == 0) {
    close $writer;
    open my $lock, '<', $spoor->data_dir . '/LOCK' or POSIX::_exit(1);
    flock $lock, 2 or POSIX::_exit(1);
    POSIX::_exit(0) if fork();
    sysread $reader, my $byte, 1;
    POSIX::_exit(0);
}
waitpid $master, 0;
is $?, 0, 'one of them is late';
$again->start_nowait;
ok $again->wait_log(qr/is in use by what is left of the server $master, waiting/),
    'it is waited for';
close $writer;
ok wait_for(sub { $again->get('/health')->{status} == 200 }, 20),
    'then it starts';
like $again->get('/select/logsql/query?query=name:kept')->{body}, qr/kept/,
    'with the span';
is $again->stop, 0, 'stops';

# --- files that cannot be written -------------------------------------------------

sub refused {
    my ($name, $why, %option) = @_;
    my $bad = Test::Spoor->new(%option);

    $bad->start_nowait;
    is $bad->wait_exit(20), 1, "$name: does not start";
    like $bad->log, $why, 'says why';
    return;
}

refused('no directory for the pid file',
    qr{pid: cannot bind the socket beside the pid file, /nonexistent/x\.pid\.sock: No such file},
    conf => { pid => '/nonexistent/x.pid' });
my $dir = File::Temp::tempdir(CLEANUP => 1);
mkdir "$dir/taken.pid";
refused('a directory in its place',
    qr{error.*the pid file cannot be written: .*$dir/taken\.pid.*: Is a directory},
    conf => { pid => "$dir/taken.pid" });
open my $out, '>', "$dir/file";
close $out;
refused('the data directory is a file', qr{cannot start: .*$dir/file},
    conf => { 'storage.path' => "$dir/file" });

# --- a read-only root ----------------------------------------------------------------

SKIP: {
    skip 'no namespaces of our own (root, unshare)', 6
        if $> != 0 || system('unshare -m true 2>/dev/null') != 0;
    my $port = free_port();
    my $data = "$dir/data";
    mkdir $data;
    my $script = "mount --make-rprivate / && mount --bind $data $data && "
        . 'mount -o remount,ro,bind / && shift && exec "$@"';
    my $tried = run_command(['unshare', '-m', 'sh', '-c', $script, 'sh', 'x',
        'touch', "$dir/x"]);
    skip 'the root cannot be made read-only here', 6
        unless $tried->{err} =~ /Read-only/;
    # TMPDIR of the test may be a file system of its own; $dir is below it.
    my $server = fork();
    if ($server == 0) {
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        chdir '/';
        exec 'unshare', '-m', 'sh', '-c', $script, 'sh', 'x', spoor_bin(),
            "-storageDataPath=$data", "-httpListenAddr=127.0.0.1:$port",
            '-workers=1' or POSIX::_exit(127);
    }
    my $url = "http://127.0.0.1:$port";
    my $http = HTTP::Tiny->new(timeout => 5);
    ok wait_for(sub { $http->get("$url/health")->{status} == 200 }, 20),
        'starts with nothing but its storage path';
    is $http->post("$url/v1/traces", { content => otlp_json(otlp_span()),
        headers => { otlp_type('json') } })->{status}, 200, 'stores';
    is $http->post("$url/internal/force_flush")->{status}, 200, 'flushes';
    my $ran = run_command([spoor_bin(), "-storageDataPath=$data", '-s',
        'reload']);
    is $ran->{out} . $ran->{err}, "reload: done, 1 worker\n", 'reloads';
    kill 'TERM', $server;
    waitpid $server, 0;
    is $?, 0, 'stops';
    open my $in, '<', "$dir/log";
    unlike join('', <$in>), qr/\terror\t|Read-only/, 'nothing to complain';
}

# --- a signal that comes too early ------------------------------------------------------

{
    my $port = free_port();
    my $data = "$dir/early";
    my $taken = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
        LocalAddr => "127.0.0.1:$port") or die "listen: $!";
    my $server = fork();
    if ($server == 0) {
        open STDOUT, '>', "$dir/early.log";
        open STDERR, '>&', \*STDOUT;
        exec spoor_bin(), "-storageDataPath=$data",
            "-httpListenAddr=127.0.0.1:$port", '-workers=1'
            or POSIX::_exit(127);
    }
    my $text = sub {
        open my $in, '<', "$dir/early.log" or return '';
        return join '', <$in>;
    };
    ok wait_for(sub { $text->() =~ /trying again/ }, 10),
        'an address is not free yet';
    kill $_, $server for qw(HUP USR1);
    close $taken;
    ok wait_for(sub { $text->() =~ /reload: done/ }, 20),
        'HUP while it starts is done afterwards';
    kill 'TERM', $server;
    waitpid $server, 0;
    is $?, 0, 'stops';
}

# --- process 1 of a container ---------------------------------------------------------

SKIP: {
    skip 'no namespaces of our own (root, unshare)', 5
        if $> != 0 || system('unshare -pf --mount-proc true 2>/dev/null') != 0;
    my $port = free_port();
    my $data = "$dir/one";
    my $outside = fork();
    if ($outside == 0) {
        open STDOUT, '>', "$dir/one.log";
        open STDERR, '>&', \*STDOUT;
        exec 'unshare', '-pf', '--mount-proc', spoor_bin(),
            "-storageDataPath=$data", "-httpListenAddr=127.0.0.1:$port",
            '-workers=1' or POSIX::_exit(127);
    }
    ok wait_for(sub { -s "$data/spoor.pid" }, 20), 'as process 1';
    open my $in, '<', "$data/spoor.pid";
    is scalar <$in>, "1\n", 'it is';
    my $ran = run_command([spoor_bin(), "-storageDataPath=$data", '-s',
        'upgrade']);
    like $ran->{out} . $ran->{err}, qr/goes on\nthis is process 1 of its container/,
        'an upgrade is refused: the container would end';
    $ran = run_command([spoor_bin(), "-storageDataPath=$data", '-s', 'reload']);
    is $ran->{out} . $ran->{err}, "reload: done, 1 worker\n", 'it reloads';
    $ran = run_command([spoor_bin(), "-storageDataPath=$data", '-s', 'stop']);
    waitpid $outside, 0;
    is $?, 0, 'and stops';
}

done_testing;
