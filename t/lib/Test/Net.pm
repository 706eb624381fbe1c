# SPDX-License-Identifier: BSD-2-Clause
#
# A network between servers that can be broken.
#
#     my $host = Test::Net->host;            # a namespace, or undef (no root)
#     my $spoor = Test::Spoor->new(conf => { 'http.listen' => [...] },
#         before_exec => sub { $host->enter });
#     my $link = Test::Net->link($host->address, $port);
#     ... 127.0.0.1:$link->port goes there ...
#     $link->set(delay_ms => 100);   $link->set('hang');  $link->set('pass');
#     $host->drop(in => 10);         $host->heal;
#
# A link is a process that hands bytes on:
#
#   pass             as they come
#   delay_ms => N    each piece so much later, in both directions
#   hang             connections are taken and nothing is handed on any more
#   cut => N         each connection ends after N bytes of an answer
#   refuse           connections are closed at once, old ones too
#
# What a host drops are packets, in per cent: in (to it), out (from it).

package Test::Net;

use strict;
use warnings;

use File::Temp qw(tempfile);
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Test::Spoor qw(slurp spew);
use Time::HiRes qw(sleep time);

my $CLONE_NEWNET = 0x40000000;
my %setns = (x86_64 => 308, aarch64 => 268);
my ($next, @all) = (0);

# --- hosts --------------------------------------------------------------------

sub can_host {
    my $name = "spoor-try-$$";

    return 0 if $> != 0 || !$setns{(POSIX::uname())[4]};
    return 0 if system("ip netns add $name 2>/dev/null") != 0;
    my $can = system("ip netns exec $name nft add table inet t 2>/dev/null")
        == 0;
    system("ip netns del $name 2>/dev/null");
    return $can;
}

sub host {
    my ($class) = @_;
    my $n = ++$next;
    # Networks of documentation; which one nobody else has is tried.
    my $self = bless { name => "spoor-$$-$n", dev => "sp$$-$n", owner => $$ },
        $class;
    $self->{dev} = 'sp' . ($$ % 100000) . "-$n";
    my ($a, $b) = (int($$ / 60) % 250, ($$ % 60) * 4);

    $self->{address} = "198.18.$a." . (($b + $n * 4 + 2) % 256);
    my $near = "198.18.$a." . (($b + $n * 4 + 1) % 256);
    for my $command ("ip netns add $self->{name}",
        "ip link add $self->{dev} type veth peer name eth0 netns "
        . $self->{name},
        "ip addr add $near/30 dev $self->{dev}",
        "ip link set $self->{dev} up",
        "ip -n $self->{name} addr add $self->{address}/30 dev eth0",
        "ip -n $self->{name} link set eth0 up",
        "ip -n $self->{name} link set lo up",
        $self->_nft('add table inet t'),
        $self->_nft("'add chain inet t in { type filter hook input priority "
            . "0; }'"),
        $self->_nft("'add chain inet t out { type filter hook output priority "
            . "0; }'")) {
        system($command) == 0 or die "failed: $command\n";
    }
    push @all, $self;
    return $self;
}

sub _nft { return "ip netns exec $_[0]{name} nft $_[1]" }
sub address { return $_[0]{address} }

# In a process that is to be there.
sub enter {
    my ($self) = @_;

    open my $fd, '<', "/var/run/netns/$self->{name}" or die "netns: $!\n";
    syscall($setns{(POSIX::uname())[4]}, fileno $fd, $CLONE_NEWNET) == 0
        or die "setns: $!\n";
    return;
}

# in => per cent, out => per cent.
sub drop {
    my ($self, %share) = @_;

    $self->heal;
    for my $way (sort keys %share) {
        my $some = $share{$way} >= 100 ? ''
            : "numgen random mod 100 \\< $share{$way} ";
        my $dev = $way eq 'in' ? 'iifname' : 'oifname';

        system($self->_nft("add rule inet t $way $dev eth0 ${some}drop")) == 0
            or die "nft failed\n";
    }
    return;
}

# Bytes a second, both ways.
sub slow {
    my ($self, $rate) = @_;

    for my $command ("ip netns exec $self->{name} tc qdisc replace dev eth0",
        "tc qdisc replace dev $self->{dev}") {
        system("$command root tbf rate ${rate}bps burst 16kb latency 300ms")
            == 0 or die "tc failed\n";
    }
    $self->{is_slow} = 1;
    return;
}

sub heal {
    my ($self) = @_;

    system($self->_nft("flush table inet t"));
    if (delete $self->{is_slow}) {
        system("ip netns exec $self->{name} tc qdisc del dev eth0 root");
        system("tc qdisc del dev $self->{dev} root");
    }
    return;
}

# --- links --------------------------------------------------------------------

# port => of 127.0.0.1 to listen on; none: any.
sub link {
    my ($class, $address, $to, %option) = @_;
    my $listen = IO::Socket::INET->new(Listen => 128, Proto => 'tcp',
        LocalAddr => '127.0.0.1', LocalPort => $option{port} || 0,
        ReuseAddr => 1) or die "listen: $!\n";
    my $self = bless { port => $listen->sockport, owner => $$,
        file => (tempfile('spoor-link-XXXXXX', TMPDIR => 1))[1] }, $class;

    spew($self->{file}, 'pass 0');
    $self->{pid} = fork();
    die "fork: $!\n" unless defined $self->{pid};
    if ($self->{pid} == 0) {
        $SIG{TERM} = 'DEFAULT';
        $SIG{PIPE} = 'IGNORE';
        Test::Net::Relay::run($listen, $address, $to, $self->{file});
        POSIX::_exit(0);
    }
    push @all, $self;
    return $self;
}

sub port { return $_[0]{port} }

# Of a link; it takes 20 ms to be noticed.
sub set {
    my ($self, $what, $n) = @_;

    spew("$self->{file}.new", $what . ' ' . ($n || 0));
    rename "$self->{file}.new", $self->{file} or die "rename: $!\n";
    sleep 0.05;
    return;
}

sub end {
    my ($self) = @_;

    return if $self->{is_ended}++ || $self->{owner} != $$;
    if ($self->{pid}) {
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
        unlink $self->{file};
    } else {
        system("ip netns del $self->{name}");
        system("ip link del $self->{dev} 2>/dev/null");
    }
    return;
}

END {
    my $status = $?;
    $_->end for @all;
    $? = $status;
}

package Test::Net::Relay;

use Errno qw(EAGAIN EINTR);
use IO::Select;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

# Pieces that wait: [when, socket, bytes]; by socket, so that none overtakes.
sub run {
    my ($listen, $address, $to, $file) = @_;
    my ($mode, $n, $read_at) = ('pass', 0, 0);
    my (%other, %is_near, %answered, %queue, %closing);
    my $select = IO::Select->new($listen);

    my $drop = sub {
        my ($one) = @_;
        my $two = delete $other{$one} or return;

        delete $other{$two};
        for my $socket ($one, $two) {
            $select->remove($socket);
            for my $table (\%is_near, \%answered, \%queue, \%closing) {
                delete $table->{$socket};
            }
            close $socket;
        }
    };
    while (1) {
        if (time > $read_at + 0.02) {
            $read_at = time;
            ($mode, $n) = split / /, Test::Spoor::slurp($file);
            if ($mode eq 'refuse') {
                my @open = values %other;
                $drop->($_) for @open;
            }
        }
        my @ready = $select->can_read(%queue ? 0.002 : 0.02);
        for my $socket (@ready) {
            if ($socket == $listen) {
                my $near = $listen->accept or next;
                if ($mode eq 'refuse') {
                    close $near;
                    next;
                }
                my $far = IO::Socket::INET->new(PeerAddr => $address,
                    PeerPort => $to, Timeout => 1);
                if (!$far) {
                    close $near;
                    next;
                }
                setsockopt $_, IPPROTO_TCP, TCP_NODELAY, 1 for $near, $far;
                @other{$near, $far} = ($far, $near);
                $is_near{$near} = $near;
                $select->add($near, $far);
                next;
            }
            next unless defined $other{$socket};
            next if $mode eq 'hang';
            my $got = sysread $socket, my $bytes, 65536;
            my $is_answer = !$is_near{$socket};
            if (!$got) {
                push @{$queue{$other{$socket}}}, [time, undef];
                $select->remove($socket);
                $closing{$other{$socket}} = $socket;
                next;
            }
            if ($mode eq 'cut' && $is_answer) {
                $answered{$socket} += $got;
                if ($answered{$socket} >= $n) {
                    syswrite $other{$socket}, substr($bytes, 0,
                        length($bytes) / 2);
                    $drop->($socket);
                    next;
                }
            }
            push @{$queue{$other{$socket}}}, [time
                + ($mode eq 'delay_ms' ? $n / 1000 : 0), $bytes,
                $other{$socket}];
        }
        next if $mode eq 'hang';
        for my $key (keys %queue) {
            while (my $piece = $queue{$key} && $queue{$key}[0]) {
                last if $piece->[0] > time;
                shift @{$queue{$key}};
                if (!defined $piece->[1]) {
                    $drop->($closing{$key}) if $closing{$key};
                    last;
                }
                my $socket = $piece->[2];
                my $at = 0;
                while ($at < length $piece->[1]) {
                    my $put = syswrite $socket, $piece->[1], 65536, $at;
                    if (!defined $put) {
                        $drop->($socket);
                        last;
                    }
                    $at += $put;
                }
            }
            delete $queue{$key} if $queue{$key} && !@{$queue{$key}};
        }
    }
}

1;
