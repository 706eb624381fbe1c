# SPDX-License-Identifier: BSD-2-Clause
#
# What the benchmarks share: a server and what it costs (CPU by thread, bytes
# written, memory), the load, requests over one connection and their times.

package Bench;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More ();
use Test::Spoor qw(run_command);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(count_of ncpu client load_spans cpu threads cpu_sum pss pss_max io
    metrics metric_sum settle disk url_of request timed finish pin say_now
    open_files percentile);

my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $client = "$objdir/bench/client";
my $tick = POSIX::sysconf(&POSIX::_SC_CLK_TCK);
my $page = POSIX::sysconf(&POSIX::_SC_PAGESIZE);

$| = 1;

# A bench on a fresh clone builds what it runs.
if (!$ENV{SPOOR_OBJDIR}) {
    system('make', '-s', 'bench-build') == 0 or die "make bench-build failed\n";
}

# "500k", "5M", "5000000".
sub count_of {
    my ($text) = @_;

    $text =~ /^(\d+(?:\.\d+)?)([kM]?)$/ or die "not a number: $text\n";
    return $1 * ($2 eq 'k' ? 1e3 : $2 eq 'M' ? 1e6 : 1);
}

sub ncpu { return 0 + `nproc` }

# Progress, apart from the table.
sub say_now { print STDERR @_, "\n"; return }

# Ends the script: Test::Builder would say that no tests ran.
sub finish {
    for my $spoor (@_) {
        $spoor->stop;
        $spoor->_clean_up;
    }
    POSIX::_exit(0);
}

sub slurp {
    my ($path) = @_;

    open my $in, '<', $path or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

# --- the load ------------------------------------------------------------------

# The words after the verb; a hash of what it prints.
sub client {
    my ($spoor, $verb, @words) = @_;
    my $out = run_command([$client, $verb, '--port', $spoor->port, @words],
        seconds => 1800);

    die "client $verb: $out->{status} $out->{err}\n" if $out->{status} != 0;
    my %r = $out->{out} =~ /(\w+)=([\d.]+)/g;
    return \%r;
}

# The same for ingest, while memory is watched: peak has it by role when all
# together was highest.  Dies when a request was not answered with success.
sub load_spans {
    my ($spoor, @words) = @_;
    my ($peak, $text, $done) = (undef, '', 0);

    my $pid = open(my $out, '-|', $client, 'ingest', '--port', $spoor->port,
        @words) or die "$client: $!\n";
    while (!$done) {
        $peak = pss_max($peak, pss_by_role($spoor));
        my $rin = '';
        vec($rin, fileno($out), 1) = 1;
        if (select($rin, undef, undef, 0.1)) {
            $done = 1 unless sysread $out, $text, 65536, length $text;
        }
    }
    close $out or die "client failed\n";
    my %r = $text =~ /(\w+)=([\d.]+)/g;
    die "errors: $r{errors}\n" if $r{errors};
    return { %r, peak => $peak };
}

# --- what the server costs --------------------------------------------------------

sub each_pid {
    my ($spoor) = @_;
    my $roles = $spoor->pids;

    return map { my $role = $_; map { [$role, $_] } @{$roles->{$role}} }
        sort keys %$roles;
}

sub seconds_of {
    my ($line) = @_;

    $line =~ s/^.*\)//s;
    my @f = split ' ', $line;
    return @f > 12 ? ($f[11] + $f[12]) / $tick : 0;
}

# Seconds by pid.
sub cpu {
    my ($spoor) = @_;

    return { map { $_->[1] => seconds_of(slurp("/proc/$_->[1]/stat")) }
        each_pid($spoor) };
}

sub cpu_sum {
    my ($spoor) = @_;
    my $sum = 0;

    $sum += $_ for values %{cpu($spoor)};
    return $sum;
}

# Seconds by "role thread" (all processes of a role together); "role (ended)"
# are threads that ended, and what the kernel's ticks round.
sub threads {
    my ($spoor) = @_;
    my %seconds;

    for my $row (each_pid($spoor)) {
        my ($role, $pid) = @$row;
        my $rest = seconds_of(slurp("/proc/$pid/stat"));

        for my $task (glob "/proc/$pid/task/[0-9]*") {
            my $line = slurp("$task/stat");
            my ($name) = $line =~ /\((.*)\)/s or next;
            $name = 'loop' if $task =~ m{/$pid$};
            $name =~ s/\s*\d+$//;
            my ($ns) = slurp("$task/schedstat") =~ /^(\d+)/;
            my $used = $ns ? $ns / 1e9 : seconds_of($line);
            $seconds{"$role $name"} += $used;
            $rest -= $used;
        }
        $seconds{"$role (ended)"} += $rest;
    }
    return \%seconds;
}

# KiB that all processes hold, shared pages counted once; by role, too.
sub pss_by_role {
    my ($spoor) = @_;
    my %kb = (all => 0);

    for my $row (each_pid($spoor)) {
        my ($pss) = slurp("/proc/$row->[1]/smaps_rollup") =~
            /^Pss:\s+(\d+)/m or next;
        $kb{$row->[0]} += $pss;
        $kb{all} += $pss;
    }
    return \%kb;
}

sub pss { return pss_by_role($_[0])->{all} }

# The greater one of two of these.
sub pss_max {
    my ($a, $b) = @_;

    return $a && $a->{all} >= $b->{all} ? $a : $b;
}

# What the kernel counted: bytes that write(2) took and bytes for the disk.
sub io {
    my ($spoor) = @_;
    my %sum = (wchar => 0, write_bytes => 0);

    for my $row (each_pid($spoor)) {
        my %io = slurp("/proc/$row->[1]/io") =~ /^(\w+): (\d+)/mg;
        $sum{$_} += $io{$_} || 0 for keys %sum;
    }
    return \%sum;
}

sub open_files {
    my ($spoor) = @_;
    my $sum = 0;

    $sum += scalar(() = glob "/proc/$_->[1]/fd/*") for each_pid($spoor);
    return $sum;
}

# name{labels} => value
sub metrics {
    my ($spoor) = @_;

    return { $spoor->get('/metrics')->{body} =~ /^(\w+(?:\{[^}]*\})?) (\S+)$/mg
    };
}

# Sum of all metrics whose name and labels match.
sub metric_sum {
    my ($metrics, $pattern) = @_;
    my $sum = 0;

    $sum += $metrics->{$_} for grep { /$pattern/ } keys %$metrics;
    return $sum;
}

# Waits until everything is in parts and merges have nothing more to do: none
# runs, and no CPU of the merge process for two seconds.  (Parts may be left
# that wait for more to come.)  The highest memory meanwhile.
sub settle {
    my ($spoor, $seconds) = @_;
    my $end = time + ($seconds || 600);
    my ($quiet, $before, $peak) = (0, -1, undef);

    $spoor->post('/internal/force_flush', '', undef, 120);
    while ($quiet < 4) {
        my %merge = map { $_ => cpu($spoor)->{$_} || 0 }
            @{$spoor->pids->{merge} || []};
        my $used = 0;
        $used += $_ for values %merge;
        my $active = metric_sum(metrics($spoor),
            qr/^vt_active_(?:force_)?merges/);
        $quiet = $active == 0 && $used - $before <= 0.02 ? $quiet + 1 : 0;
        $before = $used;
        $peak = pss_max($peak, pss_by_role($spoor));
        die "merges do not settle\n" if time > $end;
        sleep 0.5;
    }
    return $peak;
}

# Bytes below a directory: as the files say, and as the disk has them.
sub disk {
    my ($dir) = @_;
    my ($logical) = `du -sb --apparent-size $dir` =~ /^(\d+)/;
    my ($blocks) = `du -sB1 $dir` =~ /^(\d+)/;

    return ($logical, $blocks);
}

# The server on the first n CPUs.
sub pin {
    my ($spoor, $n) = @_;
    my $list = join ',', 0 .. $n - 1;

    for my $row (each_pid($spoor)) {
        system("taskset -a -p -c $list $row->[1] > /dev/null") == 0
            or warn "taskset failed: the server runs on all CPUs\n";
    }
    return;
}

# --- requests -----------------------------------------------------------------------

sub url_of {
    my ($path, @args) = @_;
    my @words;

    while (my ($key, $value) = splice @args, 0, 2) {
        $value =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
        push @words, "$key=$value";
    }
    return @words ? $path . '?' . join('&', @words) : $path;
}

my ($socket, $port) = (undef, 0);

# One keep-alive connection; the body.  Dies unless the status is 200, or the
# one that is expected.
sub request {
    my ($spoor, $url, $want) = @_;

    # Data or its end while nothing was asked for: it was closed.
    undef $socket if $port != $spoor->port
        || ($socket && IO::Select->new($socket)->can_read(0));
    $port = $spoor->port;
    $socket ||= IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port) or die "connect: $!\n";
    syswrite $socket, "GET $url HTTP/1.1\r\nHost: a\r\n\r\n" or die "$!\n";
    my $text = '';
    until ($text =~ /\r\n\r\n/) {
        sysread($socket, $text, 1 << 20, length $text)
            or die "$url: connection closed\n";
    }
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my $is_last = $head =~ /^connection: close/im;
    if ($head =~ /^content-length: (\d+)/im) {
        my $length = $1;
        while (length $body < $length) {
            sysread($socket, $body, 1 << 20, length $body) or die "$url\n";
        }
    } else {
        $body = unchunked($url, $body);
    }
    undef $socket if $is_last;
    $want ||= 200;
    die "$url: $head\n$body\n" unless $head =~ m{^HTTP/1.1 $want};
    return $body;
}

sub unchunked {
    my ($url, $body) = @_;

    until ($body =~ /(?:^|\r\n)0\r\n\r\n\z/) {
        sysread($socket, $body, 1 << 20, length $body) or die "$url\n";
    }
    my $whole = '';
    while ($body =~ s/^([0-9a-f]+)\r\n//i && hex $1) {
        $whole .= substr $body, 0, hex $1;
        substr $body, 0, 2 + hex $1, '';
    }
    return $whole;
}

# Forget the connection (the server was started anew).
sub disconnect { undef $socket; return }

sub percentile {
    my ($share, @sorted) = @_;

    return $sorted[$#sorted * $share];
}

# The request again and again, at most so many times and seconds (20), but at
# least 5 times: p50, p99 in ms, cpu (of the server, ms each), rounds, body of
# the first.
sub timed {
    my ($spoor, $url, $rounds, $seconds) = @_;
    my $body = request($spoor, $url);
    my @ms;

    request($spoor, $url) for 1 .. 2;
    $seconds ||= 20;
    my $cpu = cpu_sum($spoor);
    my $began = time;
    while (@ms < $rounds && (@ms < 5 || time - $began < $seconds)) {
        my $t = time;
        request($spoor, $url);
        push @ms, (time - $t) * 1e3;
    }
    $cpu = (cpu_sum($spoor) - $cpu) * 1e3 / @ms;
    @ms = sort { $a <=> $b } @ms;
    return { p50 => percentile(0.5, @ms), p99 => percentile(0.99, @ms),
        cpu => $cpu, body => $body, rounds => scalar @ms };
}

1;
