# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that two servers could understand differently, sent through nginx
# and HAProxy, which share kept connections to spoor among their clients.
# Nothing may be understood differently: spoor handles as many requests as
# the proxy passes on answers for, the request behind such a one is answered
# with its own answer, and so is that of another client.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::Front;
use Test::Hostile;
use Test::Http;
use Test::More;
use Test::Spoor;
use Time::HiRes qw(time);

# An answer that is late: the proxy waits for more of the body.
my $patience = 0.4;

# --- requests ------------------------------------------------------------------

my $smuggled = "GET /arg/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

# Each is [kind, name, bytes].
sub variants {
    my @list;

    for my $line (@hostile_lines) {
        push @list, ['request line', hostile_name($line),
            "${line}Host: a\r\n\r\n"];
    }
    # One reader ends at the empty chunk, another at the length; and the
    # other way round.
    my $chunk = sprintf "%x\r\n%s\r\n0\r\n\r\n", length $smuggled, $smuggled;
    my %bodies = (
        'length or chunks' => ["0\r\n\r\n$smuggled",
            length "0\r\n\r\n$smuggled"],
        'chunks or length' => [$chunk, length(sprintf "%x\r\n",
            length $smuggled)],
    );
    for my $field (@hostile_encodings, @hostile_lengths) {
        for my $other (sort keys %hostile_others) {
            for my $body (sort keys %bodies) {
                my ($bytes, $length) = @{$bodies{$body}};
                my ($before, $behind) = @{$hostile_others{$other}};
                my $fields = "$before$field$behind";

                $fields =~ s/(Content-Length[^\n]*?)5/$1$length/g;
                push @list, map { [$body, hostile_name("$_: $fields"),
                    "$_ HTTP/1.1\r\nHost: a\r\n$fields\r\n$bytes"] }
                    'POST /echo', 'GET /arg/attack';
            }
        }
    }
    for my $body (@hostile_chunks) {
        push @list, ['chunks', hostile_name($body), "POST /echo HTTP/1.1\r\n"
            . "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n$body"];
    }
    for my $host (@hostile_hosts) {
        push @list, ['Host', hostile_name($host),
            "GET /arg/attack HTTP/1.1\r\n$host\r\n"],
            ['Host', hostile_name($host),
            "GET http://a/arg/attack HTTP/1.1\r\n$host\r\n"];
    }
    return @list;
}

# --- answers -------------------------------------------------------------------

# Cuts one answer off: {status, body, spoor}; undef: it is not whole.
sub cut {
    my ($in) = @_;

    $$in =~ s/\A(HTTP\/1\.[01] (\d+)[^\r]*\r\n(.*?)\r\n\r\n)//s or return;
    my ($status, $head) = ($2, "\n$3\r\n");
    my $body = '';
    if ($head =~ /\ntransfer-encoding: *chunked/i) {
        my $rest = $$in;
        while (1) {
            $rest =~ s/\A([0-9a-f]+)\r\n//i or return;
            my $n = hex $1;
            return if length $rest < $n + 2;
            $body .= substr $rest, 0, $n, '';
            $rest =~ s/\A\r\n// or return;
            last if $n == 0;
        }
        $$in = $rest;
    } elsif ($head =~ /\ncontent-length: *(\d+)/i) {
        return if length $$in < $1;
        $body = substr $$in, 0, $1, '';
    }
    return cut($in) if $status == 100;
    return { status => $status, body => $body,
        spoor => $head =~ /\nx-server-hostname:/i ? 1 : 0 };
}

# Sends bytes and a last request of ours; the answers, in order.
sub exchange {
    my ($port, $bytes, $canary) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port) or die "connect: $!\n";
    my ($in, $end, @answers) = ('', time() + 5);

    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, "${bytes}GET /arg/$canary HTTP/1.1\r\nHost: a\r\n"
        . "Connection: close\r\n\r\n";
    my $select = IO::Select->new($socket);
    while (time() < $end) {
        last unless $select->can_read(@answers ? 0.15 : $patience);
        last unless sysread $socket, $in, 65536, length $in;
    }
    while (my $answer = cut(\$in)) {
        push @answers, $answer;
    }
    push @answers, { status => 'garbage', body => $in, spoor => 0 }
        if length $in && $in =~ /HTTP/;
    return @answers;
}

sub is_canary {
    my ($answer, $canary) = @_;

    return $answer && $answer->{status} == 200
        && $answer->{body} =~ /^path=\/arg\/\Q$canary\E$/m;
}

# --- one proxy -----------------------------------------------------------------

my $backend = Test::Http->new(flags => { 'http.connTimeout' => '1h',
    'http.idleConnTimeout' => '1h', workerThreads => 1 });

# Requests that spoor answered, of any kind, since the last time.
my $answered = 0;
sub answered_more {
    my $stats = $backend->stats;
    my $sum = 0;

    $sum += $stats->{$_}
        for grep { /^spoor_http_protocol_requests_total/ } keys %$stats;
    my $more = $sum - $answered;
    $answered = $sum;
    return $more - 1; # the question itself
}

# Those of the list that were understood differently.
sub differ {
    my ($name, $port, @list) = @_;
    my (%table, @bad);
    my $n = 0;

    answered_more();
    for (@list) {
        my ($kind, $variant, $bytes) = @$_;
        my $row = $table{$kind} ||= { map { $_ => 0 } qw(sent proxy spoor
            passed silent wrong) };
        my @answers = exchange($port, $bytes, 'canary' . ++$n);
        my @other = exchange($port, '', "victim$n");
        my $first = $answers[0];
        my ($passed) = scalar grep { $_->{spoor} } @answers, @other;
        my $handled = answered_more();
        my $why = '';

        $row->{sent}++;
        if (!$first) {
            $row->{silent}++;
        } elsif (!$first->{spoor}) {
            $row->{proxy}++;
        } elsif ($first->{status} >= 400) {
            $row->{spoor}++;
        } else {
            $row->{passed}++;
        }
        $why = 'the other client has the answer '
            . ($other[0] ? $other[0]{body} : 'of nobody')
            if @other != 1 || !is_canary($other[0], "victim$n");
        $why ||= 'the wrong one at its end'
            if @answers > 1 && $answers[-1]{status} == 200
            && !is_canary($answers[-1], "canary$n");
        $why ||= "$handled handled, $passed passed on"
            if $handled != $passed && $first && $first->{status} ne 'garbage';
        next unless $why;
        $row->{wrong}++;
        push @bad, "$variant: $why: " . join ' ', map { $_->{status} }
            @answers;
    }
    diag sprintf "%-8s %-18s %6s %8s %8s %8s %7s %7s", $name, 'requests',
        'sent', 'refused', 'by spoor', 'answered', 'silent', 'desync';
    for my $kind (sort keys %table) {
        diag sprintf "%-8s %-18s %6d %8d %8d %8d %7d %7d", '', $kind,
            @{$table{$kind}}{qw(sent proxy spoor passed silent wrong)};
    }
    return @bad;
}

sub check_proxy {
    my ($name, $port) = @_;
    my @list = variants();
    my @bad = differ($name, $port, @list);

    cmp_ok @list, '>', 1000, "$name: " . @list . ' requests';
    is scalar @bad, 0, "$name: none is understood differently"
        or diag join "\n", @bad[0 .. ($#bad > 15 ? 15 : $#bad)];
    return;
}

# A proxy that knows no bodies: it passes the head on without the fields that
# tell of one, then what it takes for the next request, on one connection for
# all clients.
sub bad_proxy {
    my $listen = IO::Socket::INET->new(Listen => 16,
        LocalAddr => '127.0.0.1') or die "listen: $!\n";
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    return ($listen->sockport, $pid) if $pid;
    my $up = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $backend->port) or POSIX::_exit(1);
    my $late = '';
    while (my $client = $listen->accept) {
        my $in = '';
        while (sysread $client, $in, 65536, length $in) {
            last if $in =~ /connection: close\r\n\r\n/i;
        }
        # All of it at once, but it waits for one answer only.
        $in =~ s/^(?:transfer-encoding|content-length|connection):.*?\r\n//img;
        syswrite $up, $in;
        my $answer;
        while (!($answer = cut_text(\$late))) {
            last unless IO::Select->new($up)->can_read(0.3)
                && sysread $up, $late, 65536, length $late;
        }
        syswrite $client, $answer if defined $answer;
        close $client;
    }
    POSIX::_exit(0);
}

# The bytes of one answer.
sub cut_text {
    my ($in) = @_;
    my $rest = $$in;

    cut(\$rest) or return;
    my $text = substr $$in, 0, length($$in) - length $rest;
    $$in = $rest;
    return $text;
}

# Without TLS and users, which would only be in the way of odd bytes.
sub configured {
    my ($file, $text) = @_;

    open my $out, '>', $file or die "$file: $!\n";
    print $out $text;
    close $out;
    return $file;
}

my $dir = File::Temp->newdir('spoor-front-XXXXXX', TMPDIR => 1);
my $upstream = '127.0.0.1:' . $backend->port;

# The test sees what it looks for.
{
    my ($port, $pid) = bad_proxy();
    my @bad = differ('bad', $port, ['bad', 'a body',
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: "
        . length($smuggled) . "\r\n\r\n$smuggled"]);

    is scalar @bad, 1, 'a bad proxy is found';
    like $bad[0], qr{^path=/arg/smuggled$}m, 'by the answer to another';
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

SKIP: {
    my $why = front_missing('nginx');
    skip "nginx: $why", 1 if $why;
    for my $buffering (qw(on off)) {
        my $front = Test::Front->plain_nginx("$dir/nginx-$buffering", <<"END");
    upstream spoor {
        server $upstream;
        keepalive 1;
    }
    server {
        listen 127.0.0.1:PORT;
        location / {
            proxy_pass http://spoor;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$host;
            proxy_request_buffering $buffering;
        }
    }
END
        check_proxy("nginx, buffering $buffering", $front->{port});
        $front->stop;
    }
}

SKIP: {
    my $why = front_missing('haproxy');
    skip "haproxy: $why", 1 if $why;
    my $front = Test::Front->plain_haproxy("$dir/haproxy", <<"END");
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    timeout http-request 5s
    http-reuse always
frontend front
    bind 127.0.0.1:PORT
    default_backend back
backend back
    server spoor $upstream pool-max-conn 1
END
    check_proxy('haproxy', $front->{port});
    $front->stop;
}

is $backend->stats->{body_bytes}, 0, 'no memory is left';
Test::Http::check_servers();
done_testing();
