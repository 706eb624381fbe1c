# SPDX-License-Identifier: BSD-2-Clause
#
# Runs a proxy with a configuration of contrib/, in which only ports and
# paths are others.
#
#     my $front = Test::Front->nginx($dir, upstream => $port);
#     my $reply = $front->fetch('/health', h2 => 1);   # by curl, TLS
#     $front->{port}, $front->{grpc_port}
#     front_missing('nginx')   # why it cannot run here, or ''

package Test::Front;

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;
use POSIX ();
use Test::More ();
use Test::Spoor;

our @EXPORT = qw(front_missing front_certificate);

my @fronts;

# Daemons are not on every user's path.
$ENV{PATH} .= ':/usr/local/sbin:/usr/sbin:/sbin';

sub front_missing {
    my (@programs) = @_;

    for my $program (@programs) {
        next if grep { -x "$_/$program" } split /:/, $ENV{PATH};
        return "$program is not installed";
    }
    return '';
}

sub _slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

sub _spew {
    my ($file, $text) = @_;

    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
    return $file;
}

# The text of a file of contrib/; each pair is a text that must be there, and
# what takes its place.
sub _contrib {
    my ($file, @pairs) = @_;
    my $text = _slurp(spoor_root() . "/contrib/$file");

    die "contrib/$file: missing\n" unless length $text;
    while (my ($from, $to) = splice @pairs, 0, 2) {
        $text =~ s/\Q$from\E/$to/g or die "contrib/$file: no '$from'\n";
    }
    return $text;
}

# A certificate for 127.0.0.1 in DIR: spoor.crt, spoor.key, and both in one.
sub front_certificate {
    my ($dir) = @_;

    my $run = run_command(['openssl', 'req', '-x509', '-newkey', 'ec',
        '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
        '-subj', '/CN=traces.example.com', '-addext',
        'subjectAltName=IP:127.0.0.1', '-keyout', "$dir/spoor.key", '-out',
        "$dir/spoor.crt"]);
    die "openssl: $run->{err}\n" if $run->{status};
    _spew("$dir/spoor.pem", _slurp("$dir/spoor.crt")
        . _slurp("$dir/spoor.key"));
    return;
}

# Starts the command and waits until every port takes connections.
sub _start {
    my ($self, @words) = @_;
    my $log = "$self->{dir}/$self->{name}.log";
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        exec { $words[0] } @words or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    push @fronts, $self;
    for my $port (grep { $_ } @$self{qw(port grpc_port)}) {
        wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $port, Timeout => 2) }, 20)
            or die "$self->{name} does not listen: " . _slurp($log) . "\n";
    }
    return $self;
}

sub _new {
    my ($class, $name, $dir, %option) = @_;

    mkdir $dir;
    return bless { name => $name, dir => $dir, port => free_port(),
        owner => $$, %option }, $class;
}

# upstream: spoor's port; users: { name => password }.
sub nginx {
    my ($class, $dir, %option) = @_;
    my $self = _new($class, 'nginx', $dir, grpc_port => free_port(),
        scheme => 'https', %option);

    front_certificate($dir);
    _spew("$dir/spoor.htpasswd", join '', map {
        "$_:" . crypt($self->{users}{$_}, '$1$abc$') . "\n" }
        sort keys %{$self->{users}});
    _spew("$dir/spoor.conf", _contrib('nginx/spoor.conf',
        '127.0.0.1:10428' => "127.0.0.1:$self->{upstream}",
        'listen 443 ssl http2' => "listen 127.0.0.1:$self->{port} ssl http2",
        "    listen [::]:443 ssl http2;\n" => '',
        'listen 4317 ssl http2'
            => "listen 127.0.0.1:$self->{grpc_port} ssl http2",
        '/etc/nginx/tls' => $dir, '/etc/nginx' => $dir));
    return $self->_nginx_start("http {\n    include spoor.conf;\n"
        . join('', map { "    ${_}_temp_path $dir/$_;\n" }
            qw(client_body proxy fastcgi uwsgi scgi))
        . "    access_log $dir/access.log;\n}\n");
}

# Connections as they are, with the PROXY protocol.
sub nginx_stream {
    my ($class, $dir, %option) = @_;
    my $self = _new($class, 'nginx_stream', $dir, scheme => 'http', %option);
    my ($module) = grep { -e } map { "$_/ngx_stream_module.so" }
        qw(/usr/lib/nginx/modules /usr/lib64/nginx/modules
        /etc/nginx/modules /usr/share/nginx/modules);

    _spew("$dir/spoor-stream.conf", _contrib('nginx/spoor-stream.conf',
        '127.0.0.1:10429' => "127.0.0.1:$self->{upstream}",
        'listen 4318' => "listen 127.0.0.1:$self->{port}",
        "        listen [::]:4318;\n" => ''));
    return $self->_nginx_start("include spoor-stream.conf;\n",
        defined $module ? "load_module $module;\n" : '');
}

# Why nginx cannot pass connections on, or ''.
sub nginx_stream_missing {
    my $built = run_command(['nginx', '-V'])->{err};

    return '' if $built =~ /--with-stream(?:\s|$)/;
    return 'nginx has no module stream' unless grep {
        -e "$_/ngx_stream_module.so" } qw(/usr/lib/nginx/modules
        /usr/lib64/nginx/modules /etc/nginx/modules
        /usr/share/nginx/modules);
    return '';
}

sub _nginx_start {
    my ($self, $body, $head) = @_;
    my $dir = $self->{dir};

    _spew("$dir/nginx.conf", ($head || '') . <<"END" . $body);
daemon off;
worker_processes 1;
@{[$> == 0 ? 'user root;' : '']}
pid $dir/nginx.pid;
error_log $dir/error.log warn;
events { worker_connections 1024; }
END
    return $self->_start('nginx', '-p', $dir, '-c', "$dir/nginx.conf", '-e',
        "$dir/error.log");
}

# upstream: spoor's port that wants PROXY headers.
sub haproxy {
    my ($class, $dir, %option) = @_;
    my $self = _new($class, 'haproxy', $dir, grpc_port => free_port(),
        scheme => 'https', %option);

    front_certificate($dir);
    _spew("$dir/spoor-tenants.map", _contrib('haproxy/spoor-tenants.map'));
    _spew("$dir/haproxy.cfg", _contrib('haproxy/haproxy.cfg',
        '127.0.0.1:10429' => "127.0.0.1:$self->{upstream}",
        'bind :443,:::443 v6only' => "bind 127.0.0.1:$self->{port}",
        'bind :4317' => "bind 127.0.0.1:$self->{grpc_port}",
        'log /dev/log local0' => 'log stderr format raw local0',
        "\nfrontend spoor\n" => "    user ghost insecure-password "
            . "ghost-secret\n\nfrontend spoor\n",
        '/etc/haproxy' => $dir));
    return $self->_start('haproxy', '-db', '-f', "$dir/haproxy.cfg");
}

# Connections as they are to two servers, whose ports speak TLS and want PROXY
# headers.
sub haproxy_tcp {
    my ($class, $dir, %option) = @_;
    my $self = _new($class, 'haproxy_tcp', $dir, grpc_port => free_port(),
        scheme => 'https', %option);

    _spew("$dir/haproxy.cfg", _contrib('haproxy/haproxy-tcp.cfg',
        '10.0.0.11:10443' => "127.0.0.1:$self->{upstreams}[0]",
        '10.0.0.12:10443' => "127.0.0.1:$self->{upstreams}[1]",
        'bind :443' => "bind 127.0.0.1:$self->{port}",
        'bind :4317' => "bind 127.0.0.1:$self->{grpc_port}",
        'log /dev/log local0' => 'log stderr format raw local0'));
    return $self->_start('haproxy', '-db', '-f', "$dir/haproxy.cfg");
}

# The same with http { } or all of haproxy.cfg as given; PORT is put in.
sub plain_nginx {
    my ($class, $dir, $text) = @_;
    my $self = _new($class, 'nginx', $dir, scheme => 'http');

    $text =~ s/PORT/$self->{port}/;
    return $self->_nginx_start("http {\n    access_log off;\n" . join('',
        map { "    ${_}_temp_path $dir/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi)) . "$text}\n");
}

sub plain_haproxy {
    my ($class, $dir, $text) = @_;
    my $self = _new($class, 'haproxy', $dir, scheme => 'http');

    $text =~ s/PORT/$self->{port}/;
    _spew("$dir/haproxy.cfg", $text);
    return $self->_start('haproxy', '-db', '-f', "$dir/haproxy.cfg");
}

sub log { return _slurp("$_[0]{dir}/$_[0]{name}.log")
    . _slurp("$_[0]{dir}/error.log") }

# One request by curl: {status, version, headers, body}.  user, h2, method,
# body (or file), headers => [...], args => [...], port.
sub fetch {
    my ($self, $path, %option) = @_;
    my $dir = $self->{dir};
    my $port = $option{port} || $self->{port};
    my $tag = sprintf 'fetch%d', ++$self->{fetched};
    my @words = ('curl', '-sSk', '--max-time', $option{seconds} || 30,
        '-o', "$dir/$tag.body", '-D', "$dir/$tag.head",
        '-w', '%{http_code} %{http_version}', $option{h2} ? '--http2'
        : '--http1.1');

    push @words, '-u', "$option{user}:"
        . (defined $option{password} ? $option{password}
        : "$option{user}-secret") if $option{user};
    push @words, '-H', $_ for @{$option{headers} || []};
    if (defined $option{body}) {
        push @words, '-H', 'Expect:', '--data-binary',
            '@' . _spew("$dir/$tag.in", $option{body});
    }
    push @words, '-X', $option{method} if $option{method};
    my $run = run_command([@words, @{$option{args} || []},
        "$self->{scheme}://127.0.0.1:$port$path"]);
    my ($status, $version) = split / /, $run->{out};
    Test::More::diag("curl $path: exit $run->{status}, $run->{out} "
        . $run->{err}) if $run->{status} && !$option{may_fail};
    my $reply = { status => $status || 0, version => $version,
        head => _slurp("$dir/$tag.head"), body => _slurp("$dir/$tag.body"),
        exit => $run->{status} };
    unlink map { "$dir/$tag.$_" } qw(in head body);
    return $reply;
}

# A request that goes on: {pid, file}; what came is in the file.
sub follow {
    my ($self, $path, %option) = @_;
    my $file = sprintf '%s/follow%d', $self->{dir}, ++$self->{fetched};
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec 'curl', '-skN', '-o', $file, '-D', "$file.head",
            $option{h2} ? '--http2' : '--http1.1', '-u',
            "$option{user}:$option{user}-secret",
            "$self->{scheme}://127.0.0.1:$self->{port}$path"
            or POSIX::_exit(127);
    }
    return { pid => $pid, file => $file, text => sub { _slurp($file) },
        head => sub { _slurp("$file.head") },
        stop => sub { kill 'KILL', $pid; waitpid $pid, 0 } };
}

sub stop {
    my ($self) = @_;

    return if !$self->{pid} || $self->{owner} != $$;
    kill 'TERM', $self->{pid};
    wait_for(sub { waitpid($self->{pid}, POSIX::WNOHANG()) != 0 }, 10)
        or kill 'KILL', $self->{pid};
    delete $self->{pid};
    return;
}

END {
    local $?;
    $_->stop for @fronts;
}

1;
