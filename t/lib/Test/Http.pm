# SPDX-License-Identifier: BSD-2-Clause
#
# The HTTP module alone (t/helper/http_server) and raw connections to it.
#
#     my $http = Test::Http->new(flags => { 'http.headerTimeout' => '1s' });
#     my $conn = $http->connect;
#     $conn->send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
#     my $reply = $conn->reply;      # {status, headers, body, chunked}
#     is $http->raw("..."), ...;     # all bytes until the server closes
#
# done_testing() is replaced: it stops the servers and looks at their logs.

package Test::Http;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Socket qw(INADDR_LOOPBACK SOL_SOCKET SO_RCVBUF pack_sockaddr_in);
use Test::More ();
use Test::Spoor qw(wait_for spoor_root slurp);
use Time::HiRes qw(sleep time);

my @servers;

sub binary {
    my $objs = $ENV{SPOOR_OBJDIR} || spoor_root() . '/objs';

    return $ENV{SPOOR_HTTP_SERVER} || "$objs/t/helper/http_server";
}

sub new {
    my ($class, %option) = @_;
    my $dir = tempdir('spoor-http-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    my $self = bless { dir => $dir, %option, owner => $$ }, $class;
    my %flags = (httpListenAddr => '127.0.0.1:0', %{$option{flags} || {}});

    $self->{pid} = fork();
    die "fork: $!\n" unless defined $self->{pid};
    if ($self->{pid} == 0) {
        open STDOUT, '>', "$dir/out" or POSIX::_exit(1);
        open STDERR, '>', "$dir/log" or POSIX::_exit(1);
        # Away from conf/spoor.yaml of the source tree.
        my $binary = abs_path(binary());
        chdir $dir;
        exec { $binary } $binary, %flags or POSIX::_exit(127);
    }
    push @servers, $self;
    wait_for(sub {
        ($self->{port}) = slurp("$dir/out") =~ /^port (\d+)\n/;
        return $self->{port} || waitpid($self->{pid}, WNOHANG) != 0;
    }, 20);
    die "http_server did not start: " . $self->log unless $self->{port};
    return $self;
}

sub log { return slurp("$_[0]{dir}/log") }
sub port { return $_[0]{port} }
sub pid { return $_[0]{pid} }

# rcvbuf: bytes the kernel may hold for us, for a reader with a small window.
sub connect {
    my ($self, %option) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp')
        or die "socket: $!\n";

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $option{rcvbuf}
        if $option{rcvbuf};
    $socket->connect(pack_sockaddr_in($self->{port}, INADDR_LOOPBACK))
        or die "connect: $!\n";
    binmode $socket;
    $socket->autoflush(1);
    return bless { socket => $socket, in => '' }, 'Test::Http::Conn';
}

# Sends bytes, returns what came until the server closed (or seconds passed).
sub raw {
    my ($self, $bytes, $seconds) = @_;
    my $conn = $self->connect;

    $conn->send($bytes);
    $conn->read_all(defined $seconds ? $seconds : 5);
    return $conn->{in};
}

# Status of the first reply to bytes; 0: none.
sub status {
    my ($self, $bytes) = @_;
    my $conn = $self->connect;

    $conn->send($bytes);
    my $reply = $conn->reply(5);
    return $reply ? $reply->{status} : 0;
}

sub request {
    my ($self, $method, $target, $headers, $body) = @_;
    my $conn = $self->connect;

    $conn->request($method, $target, $headers, $body);
    return $conn->reply(20, $method eq 'HEAD');
}

sub get { return $_[0]->request('GET', @_[1 .. $#_]) }

# name=value lines of /stats as a hash; metrics by their whole name.
sub stats {
    my ($self) = @_;
    my $body = $self->get('/stats')->{body};
    my %stats = $body =~ /^(\w+)=(\d+)$/mg;

    $stats{$1} = $2 while $body =~ /^(\w+(?:\{.*?\})?) (\S+)$/mg;
    return \%stats;
}

# TERM, and the exit status when it ended.
sub stop {
    my ($self, $seconds) = @_;

    return $self->{status} if defined $self->{status};
    kill 'TERM', $self->{pid};
    my $ended = wait_for(sub { waitpid($self->{pid}, WNOHANG) != 0 },
        $seconds || 20);
    $self->{status} = $?;
    if (!$ended) {
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
        $self->{status} = -1;
    }
    return $self->{status};
}

# Every server ends well.
sub check_servers {
    for my $self (@servers) {
        next if $self->{owner} != $$;
        my $status = $self->stop;
        my $log = $self->log;
        my $is_clean = $log !~ /panic|Sanitizer|runtime error/;

        Test::More::is($status, 0, 'the server ended well');
        Test::More::ok($is_clean, 'no panic, no sanitizer in its log')
            or Test::More::diag($log);
    }
    return;
}

END {
    for my $self (@servers) {
        next if $self->{owner} != $$ || defined $self->{status};
        local $?;
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
    }
}

package Test::Http::Conn;

use IO::Select;
use Time::HiRes qw(time);

sub send {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $at = 0;
    while ($at < length $bytes) {
        my $n = syswrite $self->{socket}, $bytes, 65536, $at;
        return 0 unless defined $n;
        $at += $n;
    }
    return 1;
}

sub request {
    my ($self, $method, $target, $headers, $body) = @_;
    my $text = "$method $target HTTP/1.1\r\nHost: test\r\n";
    my %headers = %{$headers || {}};

    $text .= "$_: $headers{$_}\r\n" for sort keys %headers;
    $text .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
    return $self->send("$text\r\n" . (defined $body ? $body : ''));
}

# More bytes within seconds: 1, or 0 at the end, undef when nothing came.
sub more {
    my ($self, $seconds) = @_;

    return unless IO::Select->new($self->{socket})->can_read($seconds);
    my $n = sysread $self->{socket}, $self->{in}, 1 << 18, length $self->{in};
    $self->{reset} = 1 unless defined $n;
    $self->{closed} = 1 unless $n;
    return $n ? 1 : 0;
}

sub read_all {
    my ($self, $seconds) = @_;
    my $end = time() + $seconds;

    while ((my $left = $end - time()) > 0) {
        last unless $self->more($left);
    }
    return $self->{in};
}

# True when the server closed the connection within seconds.
sub is_closed {
    my ($self, $seconds) = @_;

    $self->read_all(defined $seconds ? $seconds : 3);
    return $self->{closed} ? 1 : 0;
}

sub _until {
    my ($self, $end, $condition) = @_;

    while (!$condition->()) {
        my $left = $end - time();
        return 0 if $left <= 0 || !$self->more($left);
    }
    return 1;
}

sub _chunks {
    my ($self, $end) = @_;
    my $body = '';

    while (1) {
        $self->_until($end, sub { $self->{in} =~ /\r\n/ }) or return;
        $self->{in} =~ s/^([0-9a-f]+)\r\n// or return;
        my $n = hex $1;
        $self->_until($end, sub { length $self->{in} >= $n + 2 }) or return;
        $body .= substr $self->{in}, 0, $n, '';
        $self->{in} =~ s/^\r\n// or return;
        return $body if $n == 0;
    }
}

# The next reply, or undef.  Interim replies are counted in {interim}.
sub reply {
    my ($self, $seconds, $is_head) = @_;
    my $end = time() + (defined $seconds ? $seconds : 10);
    my %reply = (interim => 0);

    while (1) {
        $self->_until($end, sub { $self->{in} =~ /\r\n\r\n/ }) or return;
        $self->{in} =~ s/^(HTTP\/1\.1 (\d{3}) .*?\r\n)\r\n//s or return;
        @reply{qw(head status)} = ($1, $2);
        last unless $reply{status} == 100;
        $reply{interim}++;
    }
    my %headers;
    for ($reply{head} =~ /^([\w-]+: .*)\r\n/mg) {
        my ($name, $value) = split /: /, $_, 2;
        $headers{lc $name} = defined $headers{lc $name}
            ? $headers{lc $name} . ", $value" : $value;
    }
    $reply{headers} = \%headers;
    $reply{body} = '';
    return \%reply if $is_head || $reply{status} =~ /^(?:204|304)$/;
    if (($headers{'transfer-encoding'} || '') eq 'chunked') {
        $reply{body} = $self->_chunks($end);
        return defined $reply{body} ? \%reply : undef;
    }
    my $length = $headers{'content-length'};
    if (!defined $length) {
        $self->_until($end, sub { $self->{closed} });
        $reply{body} = $self->{in};
        $self->{in} = '';
        return \%reply;
    }
    $self->_until($end, sub { length $self->{in} >= $length }) or return;
    $reply{body} = substr $self->{in}, 0, $length, '';
    return \%reply;
}

sub close { close $_[0]{socket}; return }

1;
