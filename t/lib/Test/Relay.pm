# SPDX-License-Identifier: BSD-2-Clause
#
# A server between a client and spoor that misbehaves: what it does with each
# request is a word of a list, the last word for all that follow.
#
#     my $relay = Test::Relay->new($spoor->port, qw(pass busy cut pass));
#     ... $relay->url ...; $relay->requests; $relay->stop;
#
#   pass      hands request and answer on
#   busy      503 with Retry-After: 0
#   bad       400
#   cut       half of the answer, then it closes
#   close     closes without an answer
#   partial   the answer with "Spoor-Partial: true"

package Test::Relay;

use strict;
use warnings;

use File::Temp qw(tempfile);
use IO::Socket::INET;
use POSIX ();

sub new {
    my ($class, $port, @words) = @_;
    my $listen = IO::Socket::INET->new(Listen => 16, Proto => 'tcp',
        LocalAddr => '127.0.0.1', LocalPort => 0) or die "listen: $!\n";
    my $self = bless { port => $listen->sockport,
        log => (tempfile('spoor-relay-XXXXXX', TMPDIR => 1))[1] }, $class;

    $self->{pid} = fork();
    die "fork: $!\n" unless defined $self->{pid};
    if ($self->{pid} == 0) {
        $SIG{TERM} = 'DEFAULT';
        $SIG{PIPE} = 'IGNORE';
        _serve($listen, $port, $self->{log}, @words);
        POSIX::_exit(0);
    }
    close $listen;
    return $self;
}

sub url { return "http://127.0.0.1:$_[0]{port}" }

# How many requests came.
sub requests {
    my ($self) = @_;

    return -s $self->{log} || 0;
}

sub stop {
    my ($self) = @_;

    return unless $self->{pid};
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
    unlink $self->{log};
    return;
}

sub DESTROY { $_[0]->stop }

# One request at a time: the client has one connection.
sub _serve {
    my ($listen, $port, $log, @words) = @_;

    while (my $client = $listen->accept) {
        my $request = _message($client);
        next if $request eq '';
        open my $out, '>>', $log;
        print $out '.';
        close $out;
        my $word = @words > 1 ? shift @words : $words[0];
        my $answer = $word eq 'busy'
            ? "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\n"
                . "Content-Length: 5\r\n\r\nbusy\n"
            : $word eq 'bad'
            ? "HTTP/1.1 400 Bad\r\nContent-Length: 4\r\n\r\nbad\n"
            : $word eq 'close' ? '' : _ask($port, $request);
        $answer =~ s/\r\n/\r\nSpoor-Partial: true\r\n/
            if $word eq 'partial';
        $answer = substr $answer, 0, length($answer) / 2 if $word eq 'cut';
        print $client $answer;
        close $client;
    }
    return;
}

sub _ask {
    my ($port, $request) = @_;
    my $server = IO::Socket::INET->new(Proto => 'tcp',
        PeerAddr => '127.0.0.1', PeerPort => $port) or return '';

    $request =~ s/\r\n/\r\nConnection: close\r\n/;
    print $server $request;
    my $answer = '';
    1 while sysread $server, $answer, 65536, length $answer;
    return $answer;
}

# A head and as much as its Content-Length says.
sub _message {
    my ($socket) = @_;
    my $text = '';

    while ($text !~ /\r\n\r\n/) {
        sysread($socket, $text, 65536, length $text) or return '';
    }
    my $want = $text =~ /^Content-Length: (\d+)/mi ? $1 : 0;
    my $head = index($text, "\r\n\r\n") + 4;
    while (length($text) < $head + $want) {
        sysread($socket, $text, 65536, length $text) or return '';
    }
    return $text;
}

1;
