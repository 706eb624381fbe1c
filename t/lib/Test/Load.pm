# SPDX-License-Identifier: BSD-2-Clause
#
# Clients that must not notice what happens to a server: each is a process
# that inserts and asks, as fast as it is answered, over one kind of
# connection, and counts whatever is not the answer it should be.
#
#     my $load = Test::Load->start($port, 'close', 'keep', 'h2', 'grpc');
#     ... reloads, upgrades ...
#     my $sums = $load->stop;     # { requests, failed, again, spans, slowest,
#                                 #   why => [texts] }, and by kind
#
# A request that fails is not repeated, with two exceptions that the protocols
# make, counted in "again": the server closed a kept connection before the
# request on it was sent as a whole, or its GOAWAY names an earlier stream.
#
# Options, in a hash before the kinds: requests => most of each client,
# pause => seconds between two, tls => the port and ca => the file for clients
# of the kind "tls", which are one curl a request.

package Test::Load;

use strict;
use warnings;

use Errno qw(EPIPE ECONNRESET);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::Http2;
use Test::Otlp;
use Time::HiRes qw(sleep time);

# An answer must come within this time, whatever happens to the server.
my $patience = 30;
my @targets = ('/health', '/select/jaeger/api/services',
    '/select/logsql/query?query=' . '*%20%7C%20limit%201',
    '/select/logsql/query?query=' . '*%20%7C%20count%28%29');

sub start {
    my ($class, $port, @kinds) = @_;
    my %option = ref $kinds[0] ? %{shift @kinds} : ();
    my $self = bless { dir => tempdir(CLEANUP => 1), pids => [],
        kinds => \@kinds }, $class;

    for my $n (0 .. $#kinds) {
        my $pid = fork();
        die "fork: $!\n" unless defined $pid;
        if ($pid) {
            push @{$self->{pids}}, $pid;
            next;
        }
        my $sums = _client($port, $kinds[$n], %option,
            progress => "$self->{dir}/$n.progress");
        open my $out, '>', "$self->{dir}/$n" or POSIX::_exit(1);
        print $out JSON::PP->new->canonical->encode($sums);
        close $out or POSIX::_exit(1);
        POSIX::_exit(0);
    }
    return $self;
}

# True while all clients run.
sub runs {
    my ($self) = @_;

    return !grep { waitpid($_, POSIX::WNOHANG()) != 0 } @{$self->{pids}};
}

# How many there were, about.
sub requests {
    my ($self) = @_;
    my $sum = 0;

    for my $n (0 .. $#{$self->{pids}}) {
        $sum += -s "$self->{dir}/$n.progress" || 0;
    }
    return 100 * $sum;
}

sub stop {
    my ($self) = @_;
    my %all = (requests => 0, failed => 0, again => 0, spans => 0,
        slowest => 0, why => []);

    kill 'TERM', @{$self->{pids}};
    for my $n (0 .. $#{$self->{pids}}) {
        my $kind = $self->{kinds}[$n];
        waitpid $self->{pids}[$n], 0;
        my $sums = eval {
            open my $in, '<', "$self->{dir}/$n" or die;
            JSON::PP->new->decode(do { local $/; <$in> });
        } || { failed => 1, why => ['the client died'] };
        my $of = $all{$kind} ||= { requests => 0, failed => 0, again => 0,
            spans => 0, slowest => 0 };
        for my $sum (\%all, $of) {
            $sum->{$_} += $sums->{$_} || 0
                for qw(requests failed again spans);
            $sum->{slowest} = $sums->{slowest}
                if ($sums->{slowest} || 0) > $sum->{slowest};
        }
        push @{$all{why}}, map { "$kind: $_" } @{$sums->{why} || []};
    }
    return \%all;
}

# --- one client ---------------------------------------------------------------

sub _client {
    my ($port, $kind, %option) = @_;
    my %self = (%option, port => $port, kind => $kind, requests => 0,
        failed => 0, again => 0, spans => 0, slowest => 0, why => [], n => 0);
    my $ends = 0;
    my $most = $option{requests} || 1e12;

    # A byte for each hundred requests.
    open my $progress, '>', $option{progress} or die "$option{progress}: $!";

    local $SIG{TERM} = sub { $ends = 1 };
    local $SIG{PIPE} = 'IGNORE';
    while (!$ends && $self{requests} < $most) {
        my $begin = time();
        my $is_insert = $self{n}++ % 2 == 0;
        my $why = eval { _once(\%self, $is_insert) };
        $why = "died: $@" if $@;
        my $took = time() - $begin;
        $self{requests}++;
        syswrite $progress, '.' if $self{requests} % 100 == 0;
        $self{slowest} = $took if $took > $self{slowest};
        if (defined $why) {
            $self{failed}++;
            push @{$self{why}}, sprintf '%.3f, request %d, after %.3f s: %s',
                $begin, $self{requests}, $took, $why if @{$self{why}} < 10;
        } elsif ($is_insert) {
            $self{spans}++;
        }
        sleep $option{pause} if $option{pause};
    }
    delete $self{conn};
    $self{spans} += 0;
    return \%self;
}

# What went wrong, undef when nothing did.
sub _once {
    my ($self, $is_insert) = @_;
    my $span = $is_insert ? otlp_span(name => "load $self->{kind}") : undef;

    return _tls($self, $span) if $self->{kind} eq 'tls';
    return $self->{kind} eq 'grpc' ? _grpc($self, $span)
        : $self->{kind} eq 'h2' ? _h2($self, $span) : _h1($self, $span);
}

# --- HTTP/1.1 -----------------------------------------------------------------

sub _h1_text {
    my ($self, $span) = @_;
    my $end = "Host: test\r\n"
        . ($self->{kind} eq 'close' ? "Connection: close\r\n" : '');

    if (!$span) {
        my $target = $targets[$self->{n} / 2 % @targets];
        return "GET $target HTTP/1.1\r\n$end\r\n";
    }
    my $body = otlp_json($span);
    return "POST /v1/traces HTTP/1.1\r\n${end}Content-Type: application/json"
        . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
}

sub _connect {
    my ($port) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp', Timeout => $patience,
        PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect: $!\n";

    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    return $socket;
}

sub _h1 {
    my ($self, $span) = @_;
    my $text = _h1_text($self, $span);
    my $is_kept = defined $self->{conn};

    # Closed while nothing was asked: seen before anything is sent.
    if ($is_kept && IO::Select->new($self->{conn})->can_read(0)) {
        delete $self->{conn};
        $self->{again}++;
        $is_kept = 0;
    }
    $self->{conn} = _connect($self->{port}) unless $is_kept;
    my $conn = $self->{conn};
    my $sent = syswrite $conn, $text;
    if (!defined $sent || $sent < length $text) {
        delete $self->{conn};
        die "write: $!\n" unless $is_kept;
        $self->{again}++;
        return _h1($self, $span);
    }
    my ($reply, $why) = _h1_reply($conn);
    delete $self->{conn}
        if !$reply || $reply =~ /^Connection: close/mi
            || $self->{kind} eq 'close';
    return $why unless $reply;
    return $reply =~ m{^HTTP/1.1 200 } ? undef
        : 'status ' . substr $reply, 0, 300;
}

# The head, when all of the body is there, or nothing and the reason.
sub _h1_reply {
    my ($conn) = @_;
    my $select = IO::Select->new($conn);
    my $in = '';
    my $end = time() + $patience;

    while (1) {
        if ($in =~ /^(.*?\r\n)\r\n(.*)\z/s) {
            my ($head, $body) = ($1, $2);
            return $head if $head =~ /^Content-Length: (\d+)/mi
                && length $body >= $1;
            return $head if $head =~ /^Transfer-Encoding: chunked/mi
                && $body =~ /(?:^|\r\n)0\r\n\r\n\z/;
        }
        my $left = $end - time();
        return (undef, 'no answer in time') if $left <= 0;
        next unless $select->can_read($left);
        my $n = sysread $conn, $in, 65536, length $in;
        return (undef, "read: $! after " . length($in) . ' bytes')
            unless defined $n;
        return (undef, 'closed after ' . length($in) . ' bytes') if $n == 0;
    }
}

# --- TLS ----------------------------------------------------------------------

sub _tls {
    my ($self, $span) = @_;
    my @words = ('curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}',
        '--max-time', $patience, '--cacert', $self->{ca}, '--resolve',
        "a.test:$self->{tls}:127.0.0.1");
    my $url = "https://a.test:$self->{tls}";

    push @words, '-H', 'Content-Type: application/json', '--data-binary',
        otlp_json($span), "$url/v1/traces" if $span;
    push @words, $url . $targets[$self->{n} / 2 % @targets] unless $span;
    open my $curl, '-|', @words or die "curl: $!\n";
    my $status = do { local $/; <$curl> };
    close $curl;
    return $status eq '200' ? undef : "status $status, curl " . ($? >> 8);
}

# --- HTTP/2 -------------------------------------------------------------------

# A stream that the server says it has not touched may be sent again.
sub _h2_again {
    my ($conn, $id) = @_;
    my $goaway = $conn->{goaways} ? $conn->{goaways}[-1] : undef;

    return $goaway && ($goaway->[0] & 0x7fffffff) < $id;
}

sub _h2_request {
    my ($self, $method, $path, $fields, $body) = @_;

    for my $try (1 .. 3) {
        my $conn = $self->{conn} ||= Test::Http2->connect($self->{port});
        # New streams only where no GOAWAY is in sight.
        $conn->_more(0);
        if ($conn->{goaways} || $conn->{closed}) {
            delete $self->{conn};
            next;
        }
        my $id = $conn->request($method, $path, $fields,
            open => defined $body);
        $conn->data($id, $body, 1) if defined $body;
        my $reply = $conn->reply($id, $patience);
        delete $conn->{streams}{$id};
        return $reply if $reply->{ended} && !defined $reply->{reset};
        delete $self->{conn};
        if (_h2_again($conn, $id)
            || (defined $reply->{reset} && $reply->{reset} == 7)) {
            $self->{again}++;
            next;
        }
        die 'stream ', $id, defined $reply->{reset}
            ? " reset $reply->{reset}\n" : $conn->{closed}
            ? ' closed, GOAWAY ' . join(' ', map { "@$_" }
                @{$conn->{goaways} || []}) . "\n" : " not answered\n";
    }
    die "three connections end at once\n";
}

sub _h2 {
    my ($self, $span) = @_;
    my $reply = $span
        ? _h2_request($self, 'POST', '/v1/traces',
            ['content-type' => 'application/json'], otlp_json($span))
        : _h2_request($self, 'GET', $targets[$self->{n} / 2 % @targets], []);

    return $reply->{status} == 200 ? undef
        : "status $reply->{status} $reply->{body}";
}

sub _grpc {
    my ($self, $span) = @_;
    my ($path, $body) = $span
        ? ('/opentelemetry.proto.collector.trace.v1.TraceService/Export',
            otlp_pb($span))
        : ('/grpc.health.v1.Health/Check', '');
    my $reply = _h2_request($self, 'POST', $path,
        ['content-type' => 'application/grpc', te => 'trailers'],
        pack('CN', 0, length $body) . $body);
    my $status = ($reply->{trailers} || $reply->{headers})->{'grpc-status'};

    return defined $status && $status eq '0' ? undef
        : 'grpc-status ' . (defined $status ? $status : '(none)');
}

1;
