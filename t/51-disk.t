# SPDX-License-Identifier: BSD-2-Clause
#
# Disks that fill, fail and forbid: inserts are refused in a way that clients
# retry, queries go on, the server mends itself when the disk does, and
# nothing that was acknowledged is lost.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $objdir = $ENV{SPOOR_OBJDIR} || spoor_root() . '/objs';
my $ledger = "$objdir/t/helper/ledger";
my @mounts;

END { system 'umount', '-l', $_ for @mounts }

sub replace_file {
    my ($path, $text) = @_;

    open my $out, '>:raw', "$path.tmp" or return;
    my $done = print {$out} $text;
    $done = close($out) && $done;
    rename "$path.tmp", $path if $done;
    unlink "$path.tmp" if !$done;
    return $done;
}

# --- clients -----------------------------------------------------------------

# One request of three spans; remembers what became of it.
sub send_one {
    my ($spoor, $seen, $bytes) = @_;
    my $id = otlp_span()->{traceId};
    my $filler = '@' x 10;
    my $body = traces_json(resource_spans('disk', map {
        otlp_span(traceId => $id, attributes => attributes(f => $filler))
    } 1 .. 3));
    $body =~ s/$filler/random_text($bytes || 10)/ge;
    my $reply = $spoor->post('/v1/traces', $body, { otlp_type('json') });

    $seen->{status}{$reply->{status}}++;
    if ($reply->{status} == 200) {
        $seen->{acked}{$id} = 3;
    } else {
        $seen->{refused}{$id} = 3;
        $seen->{no_retry_after}++ if !$reply->{headers}{'retry-after'};
    }
    return $reply->{status};
}

# How many spans of a trace are there; its JSON is large.
sub spans_there {
    my ($spoor, $id) = @_;
    my $reply = $spoor->get("/select/jaeger/api/traces/$id");

    return 0 if $reply->{status} == 404;
    return -1 if $reply->{status} != 200 || $reply->{body} !~ /"warnings":null/;
    return scalar(() = $reply->{body} =~ /"operationName"/g);
}

# Does not compress.
my $random = join '', map { chr(ord('A') + rand 26) . int rand 10 }
    1 .. 500_000;

sub random_text {
    my ($bytes) = @_;

    return substr $random, rand(length($random) - $bytes), $bytes;
}

sub statuses {
    my ($seen) = @_;

    return join ' ', sort keys %{$seen->{status}};
}

# Every acknowledged span is there, once.
sub nothing_lost {
    my ($spoor, $seen, $name) = @_;
    my @wrong = grep { spans_there($spoor, $_) != $seen->{acked}{$_} }
        keys %{$seen->{acked}};

    is scalar @wrong, 0, "$name: all " . keys(%{$seen->{acked}})
        . ' acknowledged traces are there';
    return;
}

sub nothing_refused {
    my ($spoor, $seen, $name) = @_;
    my @there = grep { spans_there($spoor, $_) != 0 }
        keys %{$seen->{refused}};

    is scalar @there, 0, "$name: none of the " . keys(%{$seen->{refused}})
        . ' refused ones';
    return;
}

sub acked_rows {
    my ($seen) = @_;
    my $rows = 0;

    $rows += $_ for values %{$seen->{acked}};
    return $rows;
}

# Stops it; each acknowledged row is on disk once, and no other.
sub whole_on_disk {
    my ($spoor, $rows, $name) = @_;

    is $spoor->stop, 0, "$name: an orderly stop";
    my $out = run_command([spoorctl_bin(), 'check', '--deep',
        $spoor->data_dir]);
    is $out->{status}, 0, "$name: check --deep" or diag $out->{out};
    my ($parts, $logs) = $out->{out}
        =~ /parts, (\d+) spans.*log files with (\d+) spans/;
    is "$parts $logs", "$rows 0", "$name: each row once";
    return;
}

sub heals {
    my ($spoor, $seen, $name) = @_;
    my $ok = wait_for(sub { send_one($spoor, $seen) == 200 }, 15);

    ok $ok, "$name: inserts are taken again";
    return;
}

sub workers_live {
    my ($spoor, $name) = @_;

    is $spoor->metric('spoor_worker_restarts_total'), 0,
        "$name: no process died";
    return;
}

# --- a full disk -------------------------------------------------------------

sub mount_tmpfs {
    my ($dir, $size) = @_;

    return 0 if $> != 0 || system("mount -t tmpfs -o size=$size,mode=755 "
        . "none $dir 2>/dev/null") != 0;
    push @mounts, $dir;
    return 1;
}

# Leaves so many bytes free.
sub fill {
    my ($path, $leave) = @_;
    my $free = free_bytes($path) - $leave;

    return if $free <= 0;
    open my $out, '>:raw', "$path/fill" or die "$path: $!\n";
    print {$out} 'x' x 1e6 for 1 .. $free / 1e6;
    close $out;
    return;
}

sub free_bytes {
    my ($path) = @_;
    my ($line) = (run_command(['df', '-B1', '--output=avail', $path])->{out}
        =~ /^\s*(\d+)$/m);

    return $line;
}

# Sends large requests until one is refused.
sub send_until_refused {
    my ($spoor, $seen) = @_;

    for (1 .. 400) {
        return if send_one($spoor, $seen, 200_000) != 200;
    }
    return;
}

sub full_disk {
    my $spoor = Test::Spoor->new(conf => { workers => 1,
        'storage.min_free_disk' => '0' });
    my $data = $spoor->data_dir;
    my (%seen, %full);

    mount_tmpfs($data, '64m') or skip 'cannot mount a tmpfs', 1;
    $spoor->start;
    send_one($spoor, \%seen) for 1 .. 20;
    ok flush($spoor), 'some parts';
    send_one($spoor, \%seen) for 1 .. 20;
    fill($data, 1e6);
    send_until_refused($spoor, \%seen);
    like statuses(\%seen), qr/^200 (?:429|503)$/, 'the disk is full';
    send_one($spoor, \%full, 200_000) for 1 .. 20;
    cmp_ok $full{status}{200} || 0, '<', 10, 'inserts are refused';
    like statuses(\%full), qr/^(?:200 )?(?:429 ?)?(?:503)?$/, 'as overload';
    is $full{no_retry_after} || 0, 0, 'always with Retry-After';
    $seen{$_} = { %{$seen{$_}}, %{$full{$_} || {}} } for qw(acked refused);
    is $spoor->get('/health')->{status}, 200, '/health while it is full';
    nothing_lost($spoor, \%seen, 'full disk');
    my $found = $spoor->get('/select/jaeger/api/traces?service=disk');
    is scalar(() = $found->{body} =~ /"processes"/g), 20,
        'full disk: search works';
    workers_live($spoor, 'full disk');

    unlink "$data/fill";
    heals($spoor, \%seen, 'space again');
    send_one($spoor, \%seen) for 1 .. 10;
    ok flush($spoor), 'space again: flushed';
    nothing_lost($spoor, \%seen, 'space again');
    nothing_refused($spoor, \%seen, 'space again');
    workers_live($spoor, 'space again');

    # Full while it crashes and starts.
    fill($data, 1e6);
    send_until_refused($spoor, \%seen);
    $spoor->kill_all;
    $spoor->start_nowait;
    wait_for(sub { $spoor->get('/health', undef, 1)->{status} == 200
        || !$spoor->is_running }, 5);
    ok $spoor->is_running || $spoor->log =~ /No space left.*giving up/s,
        'a start on a full disk: serves, or says why not';
    unlink "$data/fill";
    $spoor->start if !$spoor->is_running;
    nothing_lost($spoor, \%seen, 'full disk, kill -9, space');
    nothing_refused($spoor, \%seen, 'full disk, kill -9, space');

    # Full while it stops: what is not in parts stays in the log.
    fill($data, 1e6);
    send_until_refused($spoor, \%seen);
    is $spoor->stop, 0, 'a stop on a full disk';
    unlike $spoor->log, qr/is late: killing it/, 'without force';
    unlink "$data/fill";
    $spoor->start;
    nothing_lost($spoor, \%seen, 'full disk, stop, space');
    nothing_refused($spoor, \%seen, 'full disk, stop, space');
    whole_on_disk($spoor, acked_rows(\%seen), 'full disk');
    system 'umount', $data;
    pop @mounts;
    return;
}

# --- the ballast -------------------------------------------------------------

# A disk that is full to the last byte: upkeep goes on from the ballast, and a
# start serves what is there.
sub ballast {
    my $spoor = Test::Spoor->new(conf => { workers => 1,
        'storage.min_free_disk' => '1MB' });
    my $data = $spoor->data_dir;
    my (%seen, %full);

    mount_tmpfs($data, '64m') or skip 'cannot mount a tmpfs', 1;
    $spoor->start;
    send_one($spoor, \%seen) for 1 .. 10;
    ok flush($spoor), 'ballast: some parts';
    sleep 1.2;
    ok !-e "$data/.ballast", 'plenty of space: no ballast';
    fill($data, 3e6);
    ok wait_for(sub { -s "$data/.ballast" }, 5), 'the disk fills: a ballast';
    send_one($spoor, \%seen) for 1 .. 10;
    fill_all($data);
    ok wait_for(sub { $spoor->metric('vt_storage_is_read_only') }, 5),
        'no byte is left: read-only';
    send_one($spoor, \%full) for 1 .. 3;
    is statuses(\%full), '429', 'inserts are refused';
    is $full{no_retry_after} || 0, 0, 'with Retry-After';
    ok flush($spoor), 'what is in memory is written all the same';
    ok !-e "$data/.ballast", 'from the ballast';
    like $spoor->log, qr/the ballast is given up/, 'the log says so';
    my ($day) = map { m{(\d{8})$} ? $1 : () } glob "$data/partitions/*";
    is $spoor->post("/internal/partition/$_?name=$day", '')->{status}, 200,
        "$_ on a full disk" for qw(detach attach);
    nothing_lost($spoor, \%seen, 'ballast');
    # The log that ended has made room.
    fill_all($data);
    ok wait_for(sub { send_one($spoor, \%seen) == 429 }, 5), 'full again';
    sleep 2;
    send_one($spoor, \%full) for 1 .. 3;
    is statuses(\%full), '429', 'still read-only: nothing flaps';
    nothing_lost($spoor, \%seen, 'ballast, full again');

    unlink glob "$data/fill*";
    heals($spoor, \%seen, 'ballast, space');
    ok flush($spoor), 'flushed';
    fill($data, 3e6);
    ok wait_for(sub { -s "$data/.ballast" }, 5), 'the ballast is made again';
    # In the log only: the start has to write them into parts.
    send_one($spoor, \%seen) for 1 .. 10;
    $spoor->kill_all;
    fill_all($data);
    $spoor->start;
    ok !-e "$data/.ballast", 'a start on a full disk, from the ballast';
    nothing_lost($spoor, \%seen, 'ballast, a start on a full disk');
    # The log that was replayed has made room.
    fill_all($data);
    ok wait_for(sub { $spoor->metric('vt_storage_is_read_only') }, 5),
        'read-only';
    send_one($spoor, \%full) for 1 .. 3;
    is statuses(\%full), '429', 'inserts are refused';
    unlink glob "$data/fill*";
    heals($spoor, \%seen, 'ballast, space again');
    nothing_lost($spoor, \%seen, 'ballast, space again');
    nothing_refused($spoor, \%full, 'ballast');
    workers_live($spoor, 'ballast');
    whole_on_disk($spoor, acked_rows(\%seen), 'ballast');
    system 'umount', $data;
    pop @mounts;
    return;
}

# To the last byte.
sub fill_all {
    my ($path) = @_;
    our $fills;

    for my $bytes (1e5, 1e3, 1) {
        open my $out, '>:raw', "$path/fill" . ++$fills or last;
        while (syswrite($out, 'x' x $bytes)) { }
        close $out;
    }
    return;
}

# --- little space left -------------------------------------------------------

# The disk is watched each second; a fault point says that nothing is free.
sub little_space {
    my ($spoor, $seen) = @_;

    arm('file.free:ENOSPC');
    ok wait_for(sub { $spoor->metric('vt_storage_is_read_only') }, 5),
        'read-only below storage.min_free_disk';
    is $spoor->get('/-/ready')->{status}, 503, 'read-only: not ready';
    is $spoor->get('/health')->{status}, 200, 'read-only: but healthy';
    my %refused;
    send_one($spoor, \%refused) for 1 .. 5;
    is statuses(\%refused), '429', 'read-only: inserts are refused';
    is $refused{no_retry_after} || 0, 0, 'read-only: with Retry-After';
    nothing_lost($spoor, $seen, 'read-only');
    nothing_refused($spoor, \%refused, 'read-only');
    arm('');
    heals($spoor, $seen, 'read-only');
    is $spoor->get('/-/ready')->{status}, 200, 'ready again';
    like $spoor->log, qr/bytes are free on the disk/, 'the log says so';
    return;
}

# --- calls that fail ---------------------------------------------------------

my $faults;

# Arms fault points in the running server; '' disarms.
sub arm {
    replace_file($faults, $_[0]);
    sleep 0.02; # read at most every 10 ms
    return;
}

# All at once: load with retries while a call fails for a while.
sub load_under_fault {
    my ($spoor, $fault, $round) = @_;
    my $file = $spoor->dir . "/ledger.$round";
    my $load = fork();

    die "fork: $!\n" unless defined $load;
    if ($load == 0) {
        exec { $ledger } $ledger, 'load', '--url', $spoor->url, '--ledger',
            $file, '--seed', 1000 + $round, '--clients', 3, '--ms', 500
            or POSIX::_exit(127);
    }
    sleep 0.15;
    arm($fault);
    my $flush = fork();
    if (defined $flush && $flush == 0) {
        eval { $spoor->post('/internal/force_flush', '', undef, 1) };
        POSIX::_exit(0);
    }
    sleep 0.2;
    arm('');
    waitpid $flush, 0;
    waitpid $load, 0;
    my $out = run_command([$ledger, 'verify', '--url', $spoor->url,
        '--ledger', $file], seconds => 60);
    my %got = $out->{out} =~ /(\w+)=(\d+)/g;
    my $bad = grep { !defined $got{$_} || $got{$_} } qw(lost doubled wrong
        halves invented);
    ok !$bad && $got{acked}, "$fault: $got{acked} batches acknowledged, "
        . 'nothing lost, nothing twice' or diag $out->{out} . $out->{err};
    return $got{found_spans};
}

# While the log cannot be written or synced, nothing is acknowledged, and
# what was refused is never seen.
sub no_log {
    my ($spoor, $fault, $seen) = @_;
    my %failed;

    arm($fault);
    send_one($spoor, \%failed) for 1 .. 4;
    is statuses(\%failed), '503', "$fault: not acknowledged";
    is $failed{no_retry_after} || 0, 0, "$fault: Retry-After";
    nothing_lost($spoor, $seen, $fault);
    nothing_refused($spoor, \%failed, $fault);
    arm('');
    heals($spoor, $seen, $fault);
    nothing_refused($spoor, \%failed, "$fault, healed");
    $seen->{refused} = { %{$seen->{refused} || {}}, %{$failed{refused}} };
    return;
}

sub failing_calls {
    my $spoor = Test::Spoor->new(conf => { workers => 2 });
    my (%seen, $rows);

    $faults = $spoor->dir . '/faults';
    $spoor->{env}{SPOOR_FAULT_FILE} = $faults;
    arm('');
    $spoor->start;
    send_one($spoor, \%seen) for 1 .. 10;
    little_space($spoor, \%seen);
    for my $errno (qw(EIO ENOSPC)) {
        no_log($spoor, "file.pwrite:$errno", \%seen);
        no_log($spoor, "file.datasync:$errno", \%seen);
    }
    # A crash right after a sync that failed.
    my %failed;
    arm('file.datasync:EIO');
    send_one($spoor, \%failed) for 1 .. 4;
    is statuses(\%failed), '503', 'failed sync, then kill -9';
    $spoor->kill_all;
    arm('');
    $spoor->start;
    nothing_lost($spoor, \%seen, 'failed sync, then kill -9');
    nothing_refused($spoor, \%failed, 'failed sync, then kill -9');

    my ($round, $found) = (0, 0);
    for my $fault (qw(file.pwrite:EIO file.pwrite:ENOSPC file.datasync:EIO
        file.datasync:ENOSPC file.rename:EIO file.syncdir:EIO file.open:EMFILE
        file.allocate:ENOSPC file.mkdirs:ENOSPC file.unlink:EIO)) {
        $found += load_under_fault($spoor, $fault, $round++) || 0;
    }
    workers_live($spoor, 'failing calls');
    nothing_lost($spoor, \%seen, 'failing calls');
    nothing_refused($spoor, \%seen, 'failing calls');
    $spoor->kill_all;
    $spoor->start;
    nothing_lost($spoor, \%seen, 'failing calls, kill -9');
    nothing_refused($spoor, \%seen, 'failing calls, kill -9');
    whole_on_disk($spoor, $found + acked_rows(\%seen), 'failing calls');
    return;
}

# --- permissions -------------------------------------------------------------

# Processes of a root master have no capabilities, so modes bind them, too.
sub no_permission {
    my $spoor = Test::Spoor->new(conf => { workers => 1 });
    my $data = $spoor->data_dir;
    my %seen;

    $spoor->start;
    send_one($spoor, \%seen) for 1 .. 5;
    ok flush($spoor), 'some parts';
    # A new log is needed after a failure of the present one or a restart.
    chmod 0500, "$data/wal" or die "chmod: $!\n";
    my $worker = $spoor->pids->{worker}[0];
    $spoor->signal('KILL', $worker);
    wait_for(sub { my $pids = $spoor->pids->{worker};
        $pids && $pids->[0] != $worker }, 20);
    my %failed;
    send_one($spoor, \%failed) for 1 .. 4;
    is statuses(\%failed), '503', 'no permission for the log: 503';
    like $spoor->log, qr/Permission denied/, 'no permission: the log says why';
    nothing_lost($spoor, \%seen, 'no permission');
    chmod 0750, "$data/wal";
    heals($spoor, \%seen, 'permission again');

    # Parts cannot be written: rows stay in memory and in the log.
    my ($day) = glob "$data/partitions/*";
    chmod 0500, $day;
    my %more;
    send_one($spoor, \%more) for 1 .. 5;
    is statuses(\%more), '200', 'no permission for parts: inserts go on';
    $seen{acked} = { %{$seen{acked}}, %{$more{acked} || {}} };
    my $flush = $spoor->post('/internal/force_flush', '', undef, 2);
    isnt $flush->{status}, 200, 'no permission for parts: no flush';
    nothing_lost($spoor, \%seen, 'no permission for parts');
    chmod 0750, $day;
    ok flush($spoor), 'permission again: flushed';
    nothing_lost($spoor, \%seen, 'permission again');
    nothing_refused($spoor, \%failed, 'permission again');
    whole_on_disk($spoor, acked_rows(\%seen), 'permissions');
    return;
}

# Starts that must fail with a message; what they leave is as it was.
sub read_only_start {
    my $spoor = Test::Spoor->new(conf => { workers => 1 });
    my $data = $spoor->data_dir;
    my %seen;

    $spoor->start;
    send_one($spoor, \%seen) for 1 .. 5;
    is $spoor->stop, 0, 'stop';
    my @as_nobody = $> == 0 ? ('setpriv', '--reuid=65534', '--regid=65534',
        '--clear-groups') : ();
    chmod 0555, $data;
    chmod 0755, $spoor->dir;
    my $start = run_command([@as_nobody, spoor_bin(), '-c',
        $spoor->conf_file], seconds => 20);
    isnt $start->{status}, 0, 'read-only directory: the start fails';
    like $start->{err}, qr{\Q$data\E\S*: .*Permission denied},
        'read-only directory: path and reason' or diag $start->{err};
    chmod 0755, $data;
    if (mount_tmpfs($data, '32m')) {
        $spoor->start;
        send_one($spoor, \%seen) for 1 .. 5;
        is $spoor->stop, 0, 'stop';
        system "mount -o remount,ro $data";
        $start = run_command([spoor_bin(), '-c', $spoor->conf_file],
            seconds => 20);
        isnt $start->{status}, 0, 'read-only file system: the start fails';
        like $start->{err}, qr{\Q$data\E\S*: .*Read-only file system},
            'read-only file system: path and reason' or diag $start->{err};
        system 'umount', $data;
        pop @mounts;
    }
    $spoor->start;
    is scalar keys %{{ map { $_ => 1 } grep { spans_there($spoor, $_) }
        keys %{$seen{acked}} }}, 5, 'the next start finds everything';
    return;
}

SKIP: {
    full_disk();
}
SKIP: {
    ballast();
}
SKIP: {
    skip "$ledger was not built", 1 unless -x $ledger;
    failing_calls();
}
no_permission();
read_only_start();

done_testing;
