# SPDX-License-Identifier: BSD-2-Clause
#
# Rights of processes: users, capabilities, no_new_privs.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Spoor;
use Test::Process;

my $nobody = 65534;
my $toy_bin = spoor_bin();

# Fields of /proc/PID/status: name => first word.
sub status_of {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/status" or return {};
    return { map { /^(\w+):\s+(\S+)/ ? ($1, $2) : () } <$in> };
}

sub is_jailed {
    my ($toy, $uid, $name) = @_;
    my $caps = 'CapEff CapPrm CapInh CapAmb';

    # Only root can drop the bounding set; no_new_privs makes it idle.
    $caps .= ' CapBnd' if status_of($toy->pid)->{Uid} == 0;

    for my $role (qw(worker merge retention)) {
        for my $pid (role_pids($toy, $role)) {
            my $status = status_of($pid);
            is $status->{Uid}, $uid, "$name: user of $role";
            is $status->{NoNewPrivs}, 1, "$name: no_new_privs of $role";
            my @left = grep { $status->{$_} =~ /[^0]/ } split / /, $caps;
            is "@left", '', "$name: no capabilities of $role";
        }
    }
    return;
}

if ($> != 0) {
    my $toy = toy(conf => { user => 'nobody' });
    $toy->start;
    is_jailed($toy, $>, 'not root');
    like $toy->log, qr/user: ignored, only root/, 'user is ignored';
    $toy->stop;
    done_testing;
    exit;
}

# --- root, no user, data of root ----------------------------------------------

my $toy = toy(conf => { workers => 1 });
$toy->start;
is_jailed($toy, 0, 'root');
is status_of($toy->pid)->{Uid}, 0, 'the master is root';
is scalar(my @warnings = $toy->log =~ /all processes run as root/g), 1,
    'one warning';
$toy->stop;

# --- root, data of somebody else ----------------------------------------------

$toy = toy(conf => { workers => 1 });
chown $nobody, $nobody, $toy->data_dir or die "chown: $!";
$toy->start;
is_jailed($toy, $nobody, 'owner of the data');
unlike $toy->log, qr/run as root/, 'no warning';
$toy->stop;

# --- root, a user is given ----------------------------------------------------

$toy = toy(conf => { workers => 1, user => 'nobody' });
chmod 0755, $toy->dir;
my $file = $toy->dir . '/file.log';
$toy->write_conf('log.file' => $file);
$toy->start;
is_jailed($toy, $nobody, 'user');
is((stat $file)[4], $nobody, 'the log belongs to the user');
unlink $file;
is((ask($toy, 'reopen'))[1], "reopen: done\n", 'a new log');
is((stat $file)[4], $nobody, 'belongs to the user, too');
my ($worker) = role_pids($toy, 'worker');
kill 'TERM', $worker;
ok wait_for(sub {
    open my $in, '<', $file or return 0;
    grep { /worker 0\[$worker\].*leaving well/ } <$in>;
}), 'children write to it';
ok wait_for(sub { role_pids($toy, 'worker') }), 'a restart has the same rights';
is_jailed($toy, $nobody, 'after a restart');
is $toy->stop, 0, 'the master may still end them';

$toy = toy(conf => { workers => 1, user => 'nobody:daemon' });
chmod 0755, $toy->dir;
$toy->start;
($worker) = role_pids($toy, 'worker');
is status_of($worker)->{Gid}, scalar getgrnam('daemon'), 'user:group';
$toy->stop;

for my $user ('nobody-there', 'nobody:no-such-group', 'x' x 100) {
    my $bad = toy(conf => { user => $user });
    $bad->start_nowait;
    is $bad->wait_exit, 1, 'a user that does not exist';
    like $bad->log, qr/cannot start: user: /, 'says so';
}

# --- not root -----------------------------------------------------------------

SKIP: {
    skip 'no setpriv', 1 if system('setpriv --version >/dev/null 2>&1') != 0;
    $toy = toy(conf => { workers => 1, user => 'daemon' });
    my $wrapper = $toy->dir . '/wrapper';
    open my $out, '>', $wrapper or die "$wrapper: $!";
    print $out "#!/bin/sh\nexec setpriv --reuid=$nobody --regid=$nobody "
        . "--clear-groups $toy_bin \"\$@\"\n";
    close $out;
    chmod 0755, $wrapper, $toy->dir;
    chown $nobody, $nobody, $toy->dir, $toy->data_dir;
    local $ENV{SPOOR_BIN} = $wrapper;
    $toy->start;
    is_jailed($toy, $nobody, 'not root');
    like $toy->log, qr/user: ignored, only root/, 'user is ignored';
    local $ENV{SPOOR_BIN} = $toy_bin;
    is((ask($toy, 'reload'))[1], "reload: done, 1 worker\n",
        'root may ask it to do things');
    $toy->stop;
}

done_testing;
