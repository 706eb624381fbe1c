#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Power loss on ext4 and xfs, at the level of blocks: qemu-storage-daemon logs
# every write of a device (blklogwrites over FUSE and a loop device) on which
# a server in little lives; t/helper/fault_block.c makes the states that a
# power loss may leave, mounts each and reads back what was acknowledged.
#
# Needs root, loop devices, FUSE, qemu-system-common, xfsprogs; what is absent
# is skipped with its name.  POWERLOSS_STATES (default 40 for each file
# system), POWERLOSS_JOBS, POWERLOSS_SECONDS (of each), POWERLOSS_FS ("xfs").

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep);

my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $helper = "$objdir/t/helper/fault_block";
my $states = $ENV{POWERLOSS_STATES} || 40;
my $jobs = $ENV{POWERLOSS_JOBS} || 4;
my $requests = $states > 1000 ? 24 : 12;
# xfs refuses to be small; what is not written takes no room.
my %mib = (ext4 => 96, xfs => 320);
my %mkfs = (
    ext4 => [qw(mkfs.ext4 -q -J size=4 -E),
        'nodiscard,lazy_itable_init=0,lazy_journal_init=0'],
    xfs => [qw(mkfs.xfs -q -K)],
);

# The first thing that is missing.
sub missing {
    return 'root' if $> != 0;
    return '/dev/fuse' unless -e '/dev/fuse';
    return 'loop devices' unless -e '/dev/loop-control';
    return 'qemu-storage-daemon (qemu-system-common)'
        if system('command -v qemu-storage-daemon > /dev/null 2>&1') != 0;
    return;
}

my $missing = missing();
plan skip_all => "no $missing" if defined $missing;

my (@mounts, @loops, @daemons);

sub clean_up {
    system "umount $_ 2> /dev/null" for splice @mounts;
    system "losetup -d $_ 2> /dev/null" for splice @loops;
    for my $pid (splice @daemons) {
        kill 'TERM', $pid;
        waitpid $pid, 0;
    }
    return;
}

END { clean_up() }

# A device whose writes are logged; its path, undef when that fails.
sub logged_device {
    my ($dir, $mib) = @_;

    system("truncate -s ${mib}M $dir/disk && truncate -s 4G $dir/log "
        . "&& : > $dir/export") == 0 or return;
    my $pid = fork();
    die "fork: $!" unless defined $pid;
    if ($pid == 0) {
        open STDERR, '>', "$dir/daemon.log";
        exec 'qemu-storage-daemon', '--blockdev',
            "driver=file,node-name=disk,filename=$dir/disk,discard=unmap",
            '--blockdev', "driver=file,node-name=log,filename=$dir/log",
            '--blockdev', 'driver=blklogwrites,node-name=logged,file=disk,'
                . 'log=log,log-sector-size=512,log-super-update-interval=1',
            '--export', 'type=fuse,id=export,node-name=logged,'
                . "mountpoint=$dir/export,writable=on";
        exit 127;
    }
    push @daemons, $pid;
    wait_for(sub { -s "$dir/export" }, 10) or return;
    my $made = run_command(['losetup', '--direct-io=off', '-f', '--show',
        "$dir/export"]);
    chomp(my $loop = $made->{out});
    return if $made->{status};
    push @loops, $loop;
    return $loop;
}

sub record {
    my ($type, $dir, @words) = @_;
    my $loop = logged_device($dir, $mib{$type});

    return 'no logged device' unless defined $loop;
    my $made = run_command([@{$mkfs{$type}}, $loop]);
    return "mkfs: $made->{err}" if $made->{status};
    mkdir "$dir/mount";
    my $mounted = run_command(['mount', '-t', $type, $loop, "$dir/mount"]);
    return "mount: $mounted->{err}" if $mounted->{status};
    push @mounts, "$dir/mount";
    my $run = run_command([$helper, 'record', '--mount', "$dir/mount",
        '--log', "$dir/log", '--acks', "$dir/acks", '--requests', $requests,
        @words], seconds => 120);
    diag("$type: $run->{out}");
    clean_up();
    return $run->{status} ? "record: $run->{err}" : undef;
}

sub replay {
    my ($type, $dir, $n) = @_;

    return run_command([$helper, 'replay', '--log', "$dir/log", '--acks',
        "$dir/acks", '--type', $type, '--mib', $mib{$type}, '--dir', $dir,
        '--requests', $requests, '--states', $n, '--jobs', $jobs,
        '--seconds', $ENV{POWERLOSS_SECONDS} || 0],
        seconds => 7200);
}

for my $type (split ' ', $ENV{POWERLOSS_FS} || 'ext4 xfs') {
    SKIP: {
        skip "no $mkfs{$type}[0]", 2
            if system("command -v $mkfs{$type}[0] > /dev/null 2>&1") != 0;
        my $dir = tempdir('spoor-block-XXXXXX', DIR => '/dev/shm',
            CLEANUP => 1);
        my $failed = record($type, $dir);
        is $failed, undef, "$type: a life on a logged device" or next;
        my $run = replay($type, $dir, $states);
        diag("$type:\n$run->{out}");
        like $run->{out}, qr/ violations=0 /, "$type: no violation"
            or diag($run->{err});
    }
}

# Without syncs much is lost, so losses are seen.
{
    my $dir = tempdir('spoor-block-XXXXXX', DIR => '/dev/shm', CLEANUP => 1);
    is record('ext4', $dir, '--control'), undef, 'control: without fsync';
    my ($lost) = replay('ext4', $dir, 20)->{out} =~ /violations=(\d+)/;
    cmp_ok $lost || 0, '>', 3, 'control: there are losses';
}
done_testing();
