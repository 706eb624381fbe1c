# SPDX-License-Identifier: BSD-2-Clause
#
# A small DNS server for tests, over UDP and TCP, on a port of its own.
#
#     my $dns = Test::Dns->new;
#     $dns->set('node.test A' => ['127.0.0.1'],
#         '_spoor._tcp.test SRV' => ['0 5 10428 node.test']);
#     ... env => { SPOOR_DNS_SERVERS => $dns->address }
#     $dns->stop;
#
# A name without a record of the type is answered as one without data when it
# has any, else NXDOMAIN.  Answers over 512 bytes are cut for UDP (TC), so that
# the client comes again over TCP.

package Test::Dns;

use strict;
use warnings;

use File::Temp;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_INET6 inet_aton inet_pton);

my %type_numbers = (A => 1, AAAA => 28, SRV => 33);
my %type_names = reverse %type_numbers;

sub new {
    my ($class) = @_;
    my $self = bless { file => File::Temp->new(TEMPLATE => 'spoor-dns-XXXXXX',
        TMPDIR => 1), records => {}, owner => $$ }, $class;

    for (1 .. 50) {
        $self->{udp} = IO::Socket::INET->new(Proto => 'udp',
            LocalAddr => '127.0.0.1', LocalPort => 0) or die "socket: $!\n";
        $self->{port} = $self->{udp}->sockport;
        $self->{tcp} = IO::Socket::INET->new(Proto => 'tcp', Listen => 16,
            LocalAddr => '127.0.0.1', LocalPort => $self->{port},
            ReuseAddr => 1);
        last if $self->{tcp};
    }
    die "no port for DNS\n" unless $self->{tcp};
    $self->_write;
    return $self->start;
}

sub address { return "127.0.0.1:$_[0]{port}" }

# Answers again from now on; the port was kept.
sub start {
    my ($self) = @_;
    my $pid = fork;

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        eval { $self->_serve };
        POSIX::_exit(1);
    }
    $self->{pid} = $pid;
    return $self;
}

# Nobody answers any more, without a word.
sub stop {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete $self->{pid};
    return;
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $!);
    $self->stop;
    return;
}

# "name TYPE" => [texts]; an empty list takes them away.
sub set {
    my ($self, %more) = @_;

    $self->{records}{$_} = $more{$_} for keys %more;
    $self->_write;
    return $self;
}

sub _write {
    my ($self) = @_;
    my $path = $self->{file}->filename;

    open my $out, '>', "$path.new" or die "$path: $!\n";
    for my $key (sort keys %{$self->{records}}) {
        print $out "$key $_\n" for @{$self->{records}{$key}};
    }
    close $out or die "$path: $!\n";
    rename "$path.new", $path or die "$path: $!\n";
    return;
}

sub _records {
    my ($self) = @_;
    my %records;

    open my $in, '<', $self->{file}->filename or return {};
    while (my $line = <$in>) {
        chomp $line;
        my ($name, $type, $value) = split / /, $line, 3;
        push @{$records{lc $name}{$type}}, $value;
    }
    return \%records;
}

sub _name_bytes {
    my ($name) = @_;

    return join('', map { chr(length) . $_ } grep { length }
        split /\./, $name) . "\0";
}

sub _value_bytes {
    my ($type, $value) = @_;

    return inet_aton($value) if $type eq 'A';
    return inet_pton(AF_INET6, $value) if $type eq 'AAAA';
    my ($priority, $weight, $port, $target) = split / /, $value;
    return pack('n3', $priority, $weight, $port) . _name_bytes($target);
}

sub _answer {
    my ($self, $question, $max) = @_;
    my ($id) = unpack 'n', $question;
    my ($at, @labels) = (12);

    while ((my $len = ord substr $question, $at, 1) > 0) {
        push @labels, substr $question, $at + 1, $len;
        $at += 1 + $len;
    }
    my $type = $type_names{unpack 'n', substr $question, $at + 1, 2} || '?';
    my $asked = substr $question, 12, $at + 5 - 12;
    my $known = $self->_records->{lc join '.', @labels};
    my @values = $known ? @{$known->{$type} || []} : ();
    my $body = join '', map { pack('n n n N n/a*', 0xc00c,
        $type_numbers{$type}, 1, 0, _value_bytes($type, $_)) } @values;
    my $is_cut = 12 + length($asked) + length($body) > $max;
    ($body, @values) = ('') if $is_cut;
    return pack('n n n n n n', $id,
        0x8180 | ($is_cut ? 0x0200 : 0) | ($known ? 0 : 3),
        1, scalar @values, 0, 0) . $asked . $body;
}

sub _serve {
    my ($self) = @_;
    my $select = IO::Select->new($self->{udp}, $self->{tcp});

    while (1) {
        # A test that died must not leave us behind.
        POSIX::_exit(0) if getppid() != $self->{owner};
        for my $socket ($select->can_read(1)) {
            if ($socket == $self->{udp}) {
                my $from = $socket->recv(my $question, 512);
                $socket->send($self->_answer($question, 512), 0, $from)
                    if $from && length $question > 16;
                next;
            }
            my $client = $socket->accept or next;
            sysread $client, my $length, 2;
            sysread $client, my $question, 65535;
            next unless $question && length $question > 16;
            syswrite $client, pack('n/a*', $self->_answer($question, 65535));
            close $client;
        }
    }
}

1;
