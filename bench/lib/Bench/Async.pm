# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that are not waited for: one connection each, kept alive, of which
# status, size, beginning and end of the answer are kept.
#
#     my $client = Bench::Async->new($spoor);
#     $client->ask('/health');
#     1 until $client->step(0.1);    # or select() over many handles
#     # $client->{status, bytes, text, seconds, is_cut}

package Bench::Async;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Socket::INET;
use Time::HiRes qw(time);

# Of a body, at its beginning and at its end.
use constant KEPT => 4096;

sub new {
    my ($class, $spoor) = @_;

    return bless { port => $spoor->port, socket => undef, is_done => 1 },
        $class;
}

sub handle { return $_[0]{socket} }

sub ask {
    my ($self, $url) = @_;

    $self->{socket} ||= IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}) or die "connect: $!\n";
    $self->{socket}->blocking(0);
    @$self{qw(status bytes head text end seconds is_cut is_done)} =
        (0, 0, '', '', '', 0, 0, 0);
    $self->{left} = undef; # bytes of the body; undef: chunks
    $self->{began} = time;
    # So short that the kernel always takes it.
    syswrite $self->{socket}, "GET $url HTTP/1.1\r\nHost: bench\r\n\r\n";
    return;
}

# Reads what is there, or waits for it so long; true when the answer is whole
# or the connection has ended before.
sub step {
    my ($self, $seconds) = @_;

    return 1 if $self->{is_done};
    my $rin = '';
    vec($rin, fileno($self->{socket}), 1) = 1;
    return 0 unless select $rin, undef, undef, $seconds || 0;
    my $n = sysread $self->{socket}, my $data, 1 << 18;
    return 0 if !defined $n &&
        ($! == EAGAIN || $! == EINTR || $! == EWOULDBLOCK);
    return $self->_end(1) if !$n;
    $self->_take($data);
    return 0 unless $self->_is_whole;
    return $self->_end(0);
}

sub _take {
    my ($self, $data) = @_;

    if (!$self->{status}) {
        $self->{head} .= $data;
        my $at = index $self->{head}, "\r\n\r\n";
        return if $at < 0;
        $data = substr $self->{head}, $at + 4;
        $self->{head} = substr $self->{head}, 0, $at + 2;
        ($self->{status}) = $self->{head} =~ m{^HTTP/1\.1 (\d+)};
        $self->{status} ||= 999;
        ($self->{left}) = $self->{head} =~ /^content-length: *(\d+)/im;
    }
    $self->{bytes} += length $data;
    $self->{left} -= length $data if defined $self->{left};
    $self->{text} .= substr $data, 0, KEPT - length $self->{text}
        if length $self->{text} < KEPT;
    $self->{end} .= $data;
    $self->{end} = substr $self->{end}, -KEPT()
        if length $self->{end} > KEPT;
    return;
}

sub _is_whole {
    my ($self) = @_;

    return 0 if !$self->{status};
    return $self->{left} <= 0 if defined $self->{left};
    return $self->{end} =~ /(?:^|\r\n)0\r\n\r\n\z/;
}

sub _end {
    my ($self, $is_cut) = @_;

    $self->{seconds} = time - $self->{began};
    $self->{is_cut} = $is_cut;
    $self->{is_done} = 1;
    $self->close if $is_cut || $self->{head} =~ /^connection: close/im;
    return 1;
}

# The answer is not wanted any more.
sub close {
    my ($self) = @_;

    CORE::close($self->{socket}) if $self->{socket};
    $self->{socket} = undef;
    $self->{is_done} = 1;
    return;
}

1;
