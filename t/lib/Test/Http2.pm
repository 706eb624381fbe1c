# SPDX-License-Identifier: BSD-2-Clause
#
# A raw client of HTTP/2: it sends whatever frames a test likes and reads
# what comes back, with a coder of HPACK of its own.
#
#     my $conn = Test::Http2->connect($port);
#     my $reply = $conn->get('/health');   # {status, headers, body, trailers,
#                                          #  reset, ended}
#     $conn->frame(PING, 0, 0, 'x' x 8);
#     my $goaway = $conn->goaway(5);       # error code, undef: none came
#
# Options of connect: settings => { id => value }; quiet => 1 sends neither
# preface nor SETTINGS; window => 0 opens no windows by itself; rcvbuf.

package Test::Http2;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use Socket qw(INADDR_LOOPBACK IPPROTO_TCP SOL_SOCKET SO_RCVBUF TCP_NODELAY
    pack_sockaddr_in);
use Time::HiRes qw(time);

use constant {
    DATA => 0, HEADERS => 1, PRIORITY => 2, RST_STREAM => 3, SETTINGS => 4,
    PUSH_PROMISE => 5, PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8,
    CONTINUATION => 9,
    END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8,
    NO_ERROR => 0, PROTOCOL_ERROR => 1, FLOW_CONTROL_ERROR => 3,
    STREAM_CLOSED => 5, FRAME_SIZE_ERROR => 6, REFUSED_STREAM => 7,
    CANCEL => 8, COMPRESSION_ERROR => 9, ENHANCE_YOUR_CALM => 11,
};

our @EXPORT_OK = qw(DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE
    PING GOAWAY WINDOW_UPDATE CONTINUATION END_STREAM ACK END_HEADERS PADDED
    NO_ERROR PROTOCOL_ERROR FLOW_CONTROL_ERROR STREAM_CLOSED FRAME_SIZE_ERROR
    REFUSED_STREAM CANCEL COMPRESSION_ERROR ENHANCE_YOUR_CALM literal);
our %EXPORT_TAGS = (all => \@EXPORT_OK);

my $preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

# RFC 7541, appendix A, from index 1.
no warnings 'qw';
my @static = map { [split /=/, $_, 2] } qw(:authority= :method=GET
    :method=POST :path=/ :path=/index.html :scheme=http :scheme=https
    :status=200 :status=204 :status=206 :status=304 :status=400 :status=404
    :status=500 accept-charset= accept-encoding=gzip,deflate accept-language=
    accept-ranges= accept= access-control-allow-origin= age= allow=
    authorization= cache-control= content-disposition= content-encoding=
    content-language= content-length= content-location= content-range=
    content-type= cookie= date= etag= expect= expires= from= host= if-match=
    if-modified-since= if-none-match= if-range= if-unmodified-since=
    last-modified= link= location= max-forwards= proxy-authenticate=
    proxy-authorization= range= referer= refresh= retry-after= server=
    set-cookie= strict-transport-security= transfer-encoding= user-agent=
    vary= via= www-authenticate=);
use warnings 'qw';

# RFC 7541, appendix B: the code is canonical, so lengths say all of it.
# A stands for 5 bits, Z for 30; the byte 0 comes first.
my $lengths =
    'ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHF' .
    'IBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBABCBAABCCCCCKGJIX' .
    'PRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS' .
    'VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWV';

# bits as a string of 0 and 1 => byte
my %huffman;
{
    my $code = 0;
    my $bits = 5;
    my @order = sort { substr($lengths, $a, 1) cmp substr($lengths, $b, 1)
        || $a <=> $b } 0 .. 255;
    for my $byte (@order) {
        my $n = ord(substr $lengths, $byte, 1) - ord('A') + 5;
        $code <<= $n - $bits;
        $bits = $n;
        $huffman{sprintf '%0*b', $n, $code} = chr $byte;
        $code++;
    }
}

# --- HPACK ---------------------------------------------------------------------

sub integer {
    my ($n, $bits, $first) = @_;
    my $most = (1 << $bits) - 1;

    return chr($first | $n) if $n < $most;
    my $out = chr($first | $most);
    $n -= $most;
    while ($n >= 128) {
        $out .= chr(128 | $n & 127);
        $n >>= 7;
    }
    return $out . chr $n;
}

# A field that enters no table.
sub literal {
    my ($name, $value) = @_;

    return "\0" . integer(length $name, 7, 0) . $name
        . integer(length $value, 7, 0) . $value;
}

sub _int {
    my ($in, $bits) = @_;
    my $most = (1 << $bits) - 1;
    my $n = ord(substr $$in, 0, 1, '') & $most;
    my $shift = 0;

    return $n if $n < $most;
    while (length $$in) {
        my $byte = ord substr $$in, 0, 1, '';
        $n += ($byte & 127) << $shift;
        $shift += 7;
        last if $byte < 128;
    }
    return $n;
}

sub _string {
    my ($in) = @_;
    my $is_huffman = ord($$in) & 128;
    my $n = _int($in, 7);
    my $text = substr $$in, 0, $n, '';

    return $text unless $is_huffman;
    my ($out, $bits) = ('', '');
    for my $bit (split //, unpack 'B*', $text) {
        $bits .= $bit;
        next unless defined $huffman{$bits};
        $out .= $huffman{$bits};
        $bits = '';
    }
    die "padding of Huffman code\n" if $bits !~ /^1{0,7}$/;
    return $out;
}

# [name, value] of a header block.
sub _decode {
    my ($self, $in) = @_;
    my @fields;

    while (length $in) {
        my $first = ord $in;
        if ($first & 0x80) {
            push @fields, $self->_indexed(_int(\$in, 7));
        } elsif (($first & 0xe0) == 0x20) {
            my $most = _int(\$in, 5);
            $self->{table} = [] if $most == 0;
        } else {
            my $adds = $first & 0x40;
            my $index = _int(\$in, $adds ? 6 : 4);
            my $name = $index ? $self->_indexed($index)->[0] : _string(\$in);
            push @fields, [$name, _string(\$in)];
            unshift @{$self->{table}}, $fields[-1] if $adds;
        }
    }
    return @fields;
}

sub _indexed {
    my ($self, $index) = @_;

    return $static[$index - 1] if $index <= @static;
    my $field = $self->{table}[$index - @static - 1];
    die "index $index of HPACK\n" unless $field;
    return $field;
}

# --- connections ---------------------------------------------------------------

sub connect {
    my ($class, $port, %option) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp')
        or die "socket: $!\n";

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $option{rcvbuf}
        if $option{rcvbuf};
    $socket->connect(pack_sockaddr_in($port, INADDR_LOOPBACK))
        or die "connect: $!\n";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    binmode $socket;
    my $self = bless { socket => $socket, in => '', out => '', next => 1,
        streams => {}, table => [], settings => {}, pings => [],
        window => 1, %option }, $class;
    return $self if $option{quiet};
    $self->send($preface);
    $self->frame(SETTINGS, 0, 0, join '', map {
        pack 'nN', $_, $option{settings}{$_} }
        sort keys %{$option{settings} || {}});
    return $self;
}

# False when the server does not take bytes (within 10 s) or has closed.
# What it says in the meantime is read, so nobody waits for the other.
sub send {
    my ($self, $bytes) = @_;
    my $socket = $self->{socket};
    my $end = time() + 10;

    local $SIG{PIPE} = 'IGNORE';
    $socket->blocking(0);
    while (length $bytes && !$self->{closed}) {
        my $n = syswrite $socket, $bytes, 1 << 18;
        if ($n) {
            substr $bytes, 0, $n, '';
            next;
        }
        last if !$!{EAGAIN} || time() > $end;
        $self->_more(0) if !$self->{deaf};
        IO::Select->new($socket)->can_write(0.1);
    }
    $socket->blocking(1);
    return length $bytes ? 0 : 1;
}

sub bytes_of_frame {
    my ($type, $flags, $stream, $payload) = @_;

    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}

sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;

    return $self->send(bytes_of_frame($type, $flags, $stream,
        defined $payload ? $payload : ''));
}

# The header block of a request.
sub block {
    my ($self, $method, $path, $fields) = @_;
    my @fields = ref $fields eq 'ARRAY' ? @$fields : %{$fields || {}};
    my $block = literal(':method', $method) . literal(':scheme', 'http')
        . literal(':path', $path) . literal(':authority', 'test');

    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= literal($name, $value);
    }
    return $block;
}

# Sends HEADERS; the number of the stream.  Without body the stream ends,
# with body '' or more it stays open for data() unless end => 1.
sub request {
    my ($self, $method, $path, $fields, %option) = @_;
    my $id = $self->{next};

    $self->{next} += 2;
    $self->frame(HEADERS, END_HEADERS | ($option{open} ? 0 : END_STREAM),
        $id, $self->block($method, $path, $fields));
    return $id;
}

# Data within the windows: waits for them, for at most 10 s.
sub data {
    my ($self, $id, $bytes, $is_last) = @_;
    my $end = time() + 10;

    while (1) {
        my $n = length $bytes;
        if ($n) {
            $n = $self->_allowed($id, $n);
            if ($n <= 0) {
                return 0 if time() > $end || $self->{closed}
                    || $self->{streams}{$id}{ended};
                $self->_more(0.1);
                next;
            }
        }
        my $part = substr $bytes, 0, $n, '';
        $self->{sent}{0} += $n;
        $self->{sent}{$id} += $n;
        $self->frame(DATA, length $bytes || !$is_last ? 0 : END_STREAM, $id,
            $part) or return 0;
        return 1 unless length $bytes;
    }
}

sub _allowed {
    my ($self, $id, $n) = @_;
    my $first = defined $self->{settings}{4} ? $self->{settings}{4} : 65535;

    for ([0, 65535], [$id, $first]) {
        my $left = $_->[1] + ($self->{opened}{$_->[0]} || 0)
            - ($self->{sent}{$_->[0]} || 0);
        $n = $left if $left < $n;
    }
    return $n > 16384 ? 16384 : $n;
}

sub post {
    my ($self, $path, $body, $fields, $seconds) = @_;
    my $id = $self->request('POST', $path, $fields, open => 1);

    $self->data($id, $body, 1);
    return $self->reply($id, $seconds);
}

sub get {
    my ($self, $path, $fields, $seconds) = @_;

    return $self->reply($self->request('GET', $path, $fields), $seconds);
}

# --- what comes back -----------------------------------------------------------

# Reads once, within seconds; false when nothing came.
sub _more {
    my ($self, $seconds) = @_;

    return 0 if $self->{closed};
    return 0 unless IO::Select->new($self->{socket})->can_read($seconds);
    my $n = sysread $self->{socket}, $self->{in}, 1 << 18, length $self->{in};
    if (!$n) {
        return 0 if !defined $n && $!{EAGAIN};
        $self->{closed} = 1;
        $self->{reset_by_peer} = 1 unless defined $n;
        return 0;
    }
    if (!$self->{in_checked}) {
        $self->{text} = $self->{in} if $self->{in} =~ /^HTTP/;
        $self->{in_checked} = 1;
    }
    return 1 if $self->{text};
    while (length $self->{in} >= 9) {
        my $len = unpack 'N', "\0" . substr $self->{in}, 0, 3;
        last if length $self->{in} < 9 + $len;
        my ($type, $flags, $id) = unpack 'x3CCN', $self->{in};
        my $payload = substr $self->{in}, 9, $len;
        substr $self->{in}, 0, 9 + $len, '';
        $self->_on_frame($type, $flags, $id & 0x7fffffff, $payload);
    }
    return 1;
}

sub _on_frame {
    my ($self, $type, $flags, $id, $payload) = @_;
    my $stream = $id ? $self->{streams}{$id} ||= { body => '' } : undef;

    $self->{frames}{$type}++;
    if ($type == SETTINGS && !($flags & ACK)) {
        my %settings = unpack '(nN)*', $payload;
        @{$self->{settings}}{keys %settings} = values %settings;
        $self->{out} .= bytes_of_frame(SETTINGS, ACK, 0, '');
    } elsif ($type == SETTINGS) {
        $self->{acked}++;
    } elsif ($type == PING) {
        push @{$self->{pings}}, $payload;
    } elsif ($type == GOAWAY) {
        push @{$self->{goaways}}, [unpack 'NN', $payload];
    } elsif ($type == WINDOW_UPDATE) {
        $self->{opened}{$id} += unpack 'N', $payload;
    } elsif ($type == RST_STREAM) {
        $stream->{reset} = unpack 'N', $payload;
        $stream->{ended} = 1;
    } elsif ($type == HEADERS || $type == CONTINUATION) {
        $self->_on_headers($stream, $flags, $payload);
        $stream->{ended} = 1 if $type == HEADERS && $flags & END_STREAM;
    } elsif ($type == DATA) {
        $stream->{body} .= $payload;
        $stream->{ended} = 1 if $flags & END_STREAM;
        $self->{got} += length $payload;
        $self->{out} .= bytes_of_frame(WINDOW_UPDATE, 0, 0,
            pack 'N', length $payload) . bytes_of_frame(WINDOW_UPDATE, 0,
            $id, pack 'N', length $payload)
            if $self->{window} && length $payload;
    }
    my $out = $self->{out};
    $self->{out} = '';
    $self->send($out) if length $out && !$self->{mute};
    return;
}

sub _on_headers {
    my ($self, $stream, $flags, $payload) = @_;

    $self->{block} .= $payload;
    return unless $flags & END_HEADERS;
    my @fields = $self->_decode($self->{block});
    $self->{block} = '';
    my %fields = map { @$_ } @fields;
    if (!defined $stream->{status} && $fields{':status'} == 100) {
        $stream->{interim}++;
    } elsif (!defined $stream->{status}) {
        $stream->{status} = $fields{':status'};
        $stream->{headers} = \%fields;
    } else {
        $stream->{trailers} = \%fields;
    }
    return;
}

# True when condition->() is, within seconds.
sub until {
    my ($self, $condition, $seconds) = @_;
    my $end = time() + (defined $seconds ? $seconds : 10);

    while (1) {
        return 1 if $condition->();
        my $left = $end - time();
        return 0 if $left <= 0 || $self->{closed};
        $self->_more($left < 0.2 ? $left : 0.2);
    }
}

# The reply on a stream when it ended, or what there is of it.
sub reply {
    my ($self, $id, $seconds) = @_;

    $self->until(sub { $self->{streams}{$id} && $self->{streams}{$id}{ended}
        }, $seconds);
    return $self->{streams}{$id} || { body => '' };
}

# Error code of the last GOAWAY; waits for one, undef: none came.
sub goaway {
    my ($self, $seconds) = @_;

    $self->until(sub { $self->{goaways} }, $seconds);
    return $self->{goaways} ? $self->{goaways}[-1][1] : undef;
}

sub is_closed {
    my ($self, $seconds) = @_;

    $self->until(sub { $self->{closed} }, $seconds);
    return $self->{closed} ? 1 : 0;
}

# Alive: it answers a PING.
sub is_alive {
    my ($self, $seconds) = @_;
    my $before = @{$self->{pings}};

    $self->frame(PING, 0, 0, 'alive?!!');
    return $self->until(sub { @{$self->{pings}} > $before }, $seconds);
}

sub close { close $_[0]{socket}; return }

1;
