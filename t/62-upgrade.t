# SPDX-License-Identifier: BSD-2-Clause
#
# Another binary takes over: the process model, with a toy in place of the
# store, so that everything can be made to fail.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Copy qw(copy);
use Test::More;
use Test::Spoor;
use Test::Process;
use Time::HiRes qw(sleep time);

# A server whose binary can be replaced.
my $dir = File::Temp::tempdir(CLEANUP => 1);
my $good = $ENV{SPOOR_BIN};
$ENV{SPOOR_BIN} = "$dir/spoor";
install($good);

sub install {
    my ($from, $script) = @_;

    unlink "$dir/spoor";
    if (defined $script) {
        open my $out, '>', "$dir/spoor" or die "$dir/spoor: $!";
        print $out $script;
        close $out;
    } else {
        copy($from, "$dir/spoor") or die "copy: $!";
    }
    chmod 0755, "$dir/spoor";
    return;
}

# The binary is what the test makes of it, so asking is the good one's work.
sub upgrade {
    my ($toy) = @_;

    local $ENV{SPOOR_BIN} = $good;
    return $toy->upgrade;
}

sub pid_file {
    my ($toy) = @_;

    open my $in, '<', $toy->data_dir . '/spoor.pid' or return "none: $!";
    return 0 + <$in>;
}

sub served_by {
    my ($toy) = @_;
    my ($pid) = $toy->get('/health')->{body} =~ /(\d+)/;

    return $pid;
}

# --- a good one ---------------------------------------------------------------

my $toy = toy(conf => { workers => 2 });
$toy->start;
my $old = $toy->pid;
my %before = %{$toy->pids};
my $slow = slow_request($toy, 700);
my $waits = fork();
if ($waits == 0) {
    sleep 0.3;
    my $socket = $toy->connect;
    syswrite $socket, "GET /slow?1 HTTP/1.1\r\nHost: x\r\n\r\n";
    POSIX::_exit(defined body_of($toy, $socket) ? 0 : 1);
}
my ($status, $text) = upgrade($toy);
is $status, 0, '-s upgrade: status';
like $text, qr/^upgrade: done, the new master is \d+; new connections waited \d+ ms at most\n\z/,
    'what it says';
isnt $toy->pid, $old, 'another master';
ok is_gone($old), 'the old one is gone';
is $toy->{status}, undef, 'the new one runs';
is pid_file($toy), $toy->pid, 'the pid file names the new one';
ok defined body_of($toy, $slow), 'a request in flight is answered';
waitpid $waits, 0;
is $?, 0, 'so is one that came in between';
is scalar role_pids($toy, 'worker'), 2, 'two workers';
for my $role (qw(worker merge retention)) {
    ok is_gone($_), "the old $role is gone" for @{$before{$role}};
}
like $toy->log, qr/retention \(\d+\) ended.*the new master's turn.*recovering/s,
    'all of the old have ended before the new begin';
is((ask($toy, 'reload'))[1], "reload: done, 2 workers\n",
    'the new one is told to reload');

# --- USR2, a changed configuration, other addresses ----------------------------

my ($first, $second) = ($toy->port, free_port());
$toy->write_conf('http.listen' =>
    "127.0.0.1:$first,127.0.0.1:$second", workers => 1);
$old = $toy->pid;
kill 'USR2', $old;
ok wait_for(sub { pid_file($toy) =~ /^\d+$/ && pid_file($toy) != $old }, 10),
    'USR2 does the same';
$toy->wait_exit(10);
$toy->{pid} = pid_file($toy);
delete $toy->{status};
is scalar role_pids($toy, 'worker'), 1, 'with the new configuration';
$toy->{port} = $second;
ok served_by($toy), 'a new address is open';
$toy->{port} = $first;
ok served_by($toy), 'the old one is, too';
$toy->write_conf('http.listen' => "127.0.0.1:$second");
is((upgrade($toy))[0], 0, 'an address less');
$toy->{port} = $second;
ok served_by($toy), 'the other one serves';
ok !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $first),
    'and it is closed';

$toy->write_conf(pid => 'other.pid');
kill 'USR2', $toy->pid;
ok wait_for(sub { -s $toy->data_dir . '/other.pid' }, 10),
    'a pid file of another name';
$toy->wait_exit(10);
ok !-e $toy->data_dir . '/spoor.pid', 'the old one is gone';
open my $other, '<', $toy->data_dir . '/other.pid' or die;
$toy->{pid} = 0 + <$other>;
delete $toy->{status};
$toy->write_conf(pid => 'spoor.pid');
kill 'USR2', $toy->pid;
ok wait_for(sub { pid_file($toy) =~ /^\d+$/ }, 10), 'and back';
$toy->wait_exit(10);
$toy->{pid} = pid_file($toy);
delete $toy->{status};

# --- bad ones: the old one goes on ---------------------------------------------

my $log_at = length $toy->log;
sub refused {
    my ($name, $why, $seconds) = @_;
    my $pid = $toy->pid;
    my @workers = role_pids($toy, 'worker');
    ($status, $text) = upgrade($toy);

    is $status, 1, "$name: status";
    like $text, qr/^upgrade: failed, the old server goes on\n$why/, 'why';
    is $toy->pid, $pid, 'the master is the same';
    is pid_file($toy), $pid, 'and has the pid file';
    ok served_by($toy), 'it serves';
    return @workers;
}

my @workers = role_pids($toy, 'worker');
install(undef, "not a program\n");
refused('garbage', qr/cannot run .*Exec format error/);
chmod 0644, "$dir/spoor";
refused('not executable', qr/cannot run .*Permission denied/);
unlink "$dir/spoor";
refused('no file', qr/cannot run .*No such file/);
install(undef, "#!/bin/sh\nexit 3\n");
refused('ends', qr/the new binary ended with status 3/);
install(undef, "#!/bin/sh\nkill -SEGV \$\$\n");
refused('crashes', qr/the new binary ended on signal 11/);
install(undef, "#!/bin/sh\ncase \" \$* \" in *\" -t \"*) exit 0;; esac\nexit 4\n");
refused('ends when it should run', qr/the new binary ended with status 4, its log says why/);
install(undef, "#!/bin/sh\ncase \" \$* \" in *\" -t \"*) exit 0;; esac\nexec $good -c " .
    "$dir/other.yaml\n");
open my $out, '>', "$dir/other.yaml" or die;
print $out "http:\n  listen: 127.0.0.1:", $toy->port, "\nstorage:\n  path: ",
    $toy->data_dir, "\nlog:\n  file: /nonexistent/log\n";
close $out;
refused('cannot open its log', qr/the new binary ended with status 1/);
install($good);
$toy->write_conf('http.listen' => '192.0.2.1:99');
refused('an address that is not here',
    qr/.*cannot bind 192\.0\.2\.1:99: Cannot assign/);
$toy->{yaml} = "workers: many\n";
$toy->write_conf;
kill 'USR2', $toy->pid;
ok $toy->wait_log(qr/upgrade failed, the old server goes on: .*spoor\.yaml:1:10: error: .*many/),
    'a bad configuration';
ok served_by($toy), 'it serves';
delete $toy->{yaml};
$toy->write_conf('http.listen' => "127.0.0.1:$second");
is join(' ', role_pids($toy, 'worker')), "@workers",
    'the workers have not noticed';
unlike substr($toy->log, $log_at), qr/worker \d .*ended/, 'none has ended';

# --- it fails after it had its turn ---------------------------------------------

install(undef, "#!/bin/sh\ncase \" \$* \" in *\" -t \"*) exit 0;; esac\n"
    . "TOY_FAIL=recover exec $good \"\$@\"\n");
$old = $toy->pid;
($status, $text) = upgrade($toy);
is $status, 1, 'recovery fails in the new one: status';
like $text, qr/^upgrade: failed, the old one starts again\n.*status 1: it did not come up/,
    'why';
ok wait_for(sub { $toy->get('/health')->{status} == 200 }, 20),
    'the old binary serves again';
ok wait_for(sub { pid_file($toy) eq $old }, 10), 'in the same process';
ok $toy->is_running, 'which runs';
is((ask_good('reopen'))[0], 0, 'and listens to commands');

sub ask_good {
    local $ENV{SPOOR_BIN} = $good;
    return ask($toy, @_);
}

install(undef, "#!/bin/sh\ncase \" \$* \" in *\" -t \"*) exit 0;; esac\n"
    . "TOY_FAIL=merge exec $good \"\$@\"\n");
is((upgrade($toy))[0], 1, 'a process of the new one does not start');
ok wait_for(sub { $toy->get('/health')->{status} == 200 }, 20),
    'the old binary serves again';
ok wait_for(sub { pid_file($toy) eq $old }, 10), 'in the same process';
install($good);
is((upgrade($toy))[0], 0, 'and a good one takes over');

# --- stopped in between ---------------------------------------------------------

install(undef, "#!/bin/sh\nexec sleep 20\n");
local $ENV{SPOOR_BIN} = $good;
my $asked = fork();
if ($asked == 0) {
    my ($rc, $said) = ask($toy, 'upgrade');
    POSIX::_exit($rc == 1 && $said =~ /the server is stopping/ ? 0 : 1);
}
$toy->wait_log(qr/checking the new binary(?!.*checking).*\z/s);
sleep 0.2;
is $toy->stop, 0, 'TERM while the new binary is looked at';
waitpid $asked, 0;
is $?, 0, 'who waits is told';
ok !-e $toy->data_dir . '/spoor.pid', 'nothing is left';

$ENV{SPOOR_BIN} = $good;
my $busy = toy(conf => { workers => 1, shutdown_timeout => '20s' });
$busy->start;
my $long = slow_request($busy, 1500);
$asked = fork();
if ($asked == 0) {
    my ($rc, $said) = ask($busy, 'upgrade');
    POSIX::_exit($rc == 1 && $said =~ /the server is stopping/ ? 0 : 1);
}
ok $busy->wait_log(qr/is prepared, all processes finish/), 'workers finish';
is((ask($busy, 'upgrade'))[1],
    "upgrade: failed: the server is being replaced\n", 'one at a time');
is((ask($busy, 'reload'))[1],
    "reload: failed: the server is being replaced\n", 'no reload now');
is $busy->stop('QUIT'), 0, 'QUIT in the middle';
waitpid $asked, 0;
is $?, 0, 'who waits is told';
ok defined body_of($busy, $long), 'what was begun is answered';

# --- a reload in between --------------------------------------------------------

$busy->write_conf(workers => 1);
$busy->start;
$long = slow_request($busy, 1500);
$log_at = length $busy->log;
kill 'USR2', $busy->pid;
ok wait_for(sub { substr($busy->log, $log_at) =~ /is prepared/ }, 10),
    'the new master has read the configuration';
$busy->write_conf(workers => 2);
kill 'HUP', $busy->pid;
ok defined body_of($busy, $long), 'what was begun is answered';
$busy->wait_exit(10);
ok wait_for(sub { substr($busy->log, $log_at) =~
    /upgrade: done, the new master is (\d+)/ }, 10), 'the new master is up';
($busy->{pid}) = substr($busy->log, $log_at) =~ /the new master is (\d+); new/;
delete $busy->{status};
ok wait_for(sub { (role_pids($busy, 'worker')) == 2 }, 10),
    'and has what came after it was prepared';
is $busy->stop, 0, 'stops';
$busy->write_conf(workers => 1);

# --- the new master is killed, or the old one ------------------------------------

$busy->start;
$long = slow_request($busy, 1500);
$asked = fork();
if ($asked == 0) {
    my ($rc, $said) = ask($busy, 'upgrade');
    POSIX::_exit($rc == 1 && $said =~ /on signal 9/ ? 0 : 1);
}
$log_at = length $busy->log;
ok wait_for(sub { substr($busy->log, $log_at) =~
    /new master \((\d+)\) is prepared/ }, 10), 'workers finish';
my ($new) = substr($busy->log, $log_at) =~ /new master \((\d+)\) is prepared/;
kill 'KILL', $new;
waitpid $asked, 0;
is $?, 0, 'the new master is killed before its turn';
ok defined body_of($busy, $long), 'what was begun is answered';
ok wait_for(sub { $busy->get('/health')->{status} == 200 }, 10),
    'workers come back';
is $busy->stop, 0, 'stops';

$busy->start;
$long = slow_request($busy, 1500);
$log_at = length $busy->log;
kill 'USR2', $busy->pid;
ok wait_for(sub { substr($busy->log, $log_at) =~
    /new master \((\d+)\) is prepared/ }, 10), 'workers finish';
($new) = substr($busy->log, $log_at) =~ /new master \((\d+)\) is prepared/;
$old = $busy->pid;
kill 'KILL', $old;
$busy->wait_exit(5);
$busy->{pid} = $new;
delete $busy->{status};
ok wait_for(sub { pid_file($busy) eq $new }, 20),
    'the old master is killed: the new one goes on';
like $busy->log, qr/the old master is gone without a word/, 'it says so';
ok served_by($busy), 'it serves';
is $busy->stop, 0, 'stops';

done_testing;
