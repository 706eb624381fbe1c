# SPDX-License-Identifier: BSD-2-Clause
#
# Runs a server for a black-box test.
#
#     use Test::More;
#     use Test::Spoor;
#
#     my $spoor = Test::Spoor->new(conf => { workers => 1 });
#     $spoor->start;
#     is $spoor->get('/health')->{status}, 200, 'healthy';
#     $spoor->stop;
#     done_testing;
#
# Each server has a directory of its own (conf, data, log), which stays when
# the test failed.  done_testing() stops every server and adds two checks for
# each: no panic and no sanitizer error in its log.

package Test::Spoor;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(wait_for free_port spoor_root spoor_bin spoorctl_bin
    run_command is_alive slurp spew);

my $root = abs_path(dirname(__FILE__) . '/../../..');
my @servers;
my %port_locks;

# Sanitizers make everything slower; so do busy machines.
my $start_seconds = $ENV{SPOOR_TEST_START_SECONDS} || 30;
my $stop_seconds = $ENV{SPOOR_TEST_STOP_SECONDS} || 30;

my $sanitizer_words = qr/
    (?:ERROR|WARNING):\s\w+Sanitizer | SUMMARY:\s\w+Sanitizer |
    :\d+:\d+:\sruntime\serror: | LeakSanitizer
/x;

sub spoor_root { return $root }
sub spoor_bin { return $ENV{SPOOR_BIN} || "$root/objs/spoor" }
sub spoorctl_bin { return $ENV{SPOORCTL_BIN} || "$root/objs/spoorctl" }

# wait_for(sub { condition }, seconds): its first true value, or undef.
sub wait_for {
    my ($condition, $seconds) = @_;
    my $end = time() + (defined $seconds ? $seconds : 10);
    my $pause = 0.01;

    while (1) {
        my $value = $condition->();
        return $value if $value;
        return if time() >= $end;
        sleep $pause;
        $pause = $pause * 1.5 if $pause < 0.2;
    }
}

# A TCP port of 127.0.0.1 that no other test takes: a UDP socket on the same
# number is held as the lock until this process ends.  The range lies below
# that of outgoing connections.
sub free_port {
    for my $try (1 .. 500) {
        my $port = 12000 + int(rand(18000));
        next if $port_locks{$port};
        my $lock = IO::Socket::INET->new(Proto => 'udp',
            LocalAddr => '127.0.0.1', LocalPort => $port) or next;
        my $tcp = IO::Socket::INET->new(Proto => 'tcp', Listen => 1,
            LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1)
            or next;
        close $tcp;
        $port_locks{$port} = $lock;
        return $port;
    }
    die "no free port\n";
}

# run_command([words], stdin => text, env => {}, seconds => 60): a hash of
# status (exit code, or 128 + signal), out and err.
sub run_command {
    my ($words, %option) = @_;
    # Goes with the variable, also in a child that ends without END.
    my $dir = File::Temp->newdir('spoor-run-XXXXXX', TMPDIR => 1);

    spew("$dir/in", defined $option{stdin} ? $option{stdin} : '');
    my $pid = fork();
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        _redirect("$dir/in", "$dir/out", "$dir/err");
        local @ENV{keys %{$option{env} || {}}} = values %{$option{env} || {}};
        exec { $words->[0] } @$words or POSIX::_exit(127);
    }
    my $ended = wait_for(sub { waitpid($pid, WNOHANG) == $pid },
        $option{seconds} || 60);
    my $status = $?;
    if (!$ended) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        $status = $?;
        Test::More::diag("killed, took too long: @$words");
    }
    return {
        status => $status & 127 ? 128 + ($status & 127) : $status >> 8,
        out => slurp("$dir/out"),
        err => slurp("$dir/err"),
    };
}

# --- life --------------------------------------------------------------------

# conf: directives by dotted path or nested; yaml: text of the file instead;
# args: more arguments; env: more environment; before_exec: called in the
# server's process before it starts (to enter a control group);
# expect_panic, expect_sanitizer: the test means it; dir: an existing
# directory to use (kept).
sub new {
    my ($class, %option) = @_;
    my $self = bless {
        args => [], env => {}, conf => {}, %option,
        owner => $$, started => 0, started_seconds => time(),
    }, $class;

    $self->{keep} = defined $option{dir};
    $self->{dir} ||= tempdir('spoor-t-XXXXXX', TMPDIR => 1);
    $self->{port} ||= free_port();
    mkdir "$self->{dir}/data";
    $self->write_conf;
    push @servers, $self;
    return $self;
}

# Writes the file anew from conf; more directives may be given.
sub write_conf {
    my ($self, %more) = @_;

    my %conf = (
        'http.listen' => "127.0.0.1:$self->{port}",
        'storage.path' => "$self->{dir}/data",
        'workers' => 2,
    );
    _flatten(\%conf, $self->{conf}, '');
    _flatten(\%conf, \%more, '');
    $self->{conf} = { %conf };
    my $text = $self->{yaml};
    $text = _yaml(\%conf) unless defined $text;
    spew($self->conf_file, $text);
    return $self;
}

# Starts the server and waits until /health answers 200.
sub start {
    my ($self) = @_;

    $self->start_nowait;
    my $ready = wait_for(sub {
        return -1 if !$self->is_running;
        return $self->get('/health', undef, 2)->{status} == 200;
    }, $start_seconds);
    if (!$ready || $ready == -1) {
        my $log = $self->log;
        Test::More::diag(substr($log, -4000));
        Test::More::BAIL_OUT("no such program: " . spoor_bin())
            unless -x spoor_bin();
        die $ready ? "spoor ended at start\n" : "spoor is not ready\n";
    }
    return $self;
}

sub start_nowait {
    my ($self) = @_;
    my @words = (spoor_bin(), '-c', $self->conf_file, @{$self->{args}});

    die "already running\n" if $self->{pid};
    my $pid = fork();
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        setpgrp 0, 0;
        chdir $self->{dir};
        _redirect('/dev/null', $self->log_file, $self->log_file);
        $ENV{$_} = $self->{env}{$_} for keys %{$self->{env}};
        $self->{before_exec}->() if $self->{before_exec};
        exec { $words[0] } @words or POSIX::_exit(127);
    }
    # Also here, or kill_all() could come before the group is there.
    setpgrp $pid, $pid;
    $self->{pid} = $pid;
    $self->{group} = $pid;
    $self->{started}++;
    delete $self->{status};
    return $self;
}

# True while the master lives; keeps its status otherwise.
sub is_running {
    my ($self) = @_;

    return 0 unless $self->{pid};
    if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
        $self->{status} = $?;
        delete $self->{pid};
        return 0;
    }
    return 1;
}

# Waits until the master ended by itself; its exit status (128 + signal).
sub wait_exit {
    my ($self, $seconds) = @_;

    my $ended = wait_for(sub { !$self->is_running },
        $seconds || $stop_seconds);
    return unless $ended;
    my $status = $self->{status};
    return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# Ends it with TERM (or another signal); the exit status, undef when it had to
# be killed.
sub stop {
    my ($self, $signal) = @_;

    return unless $self->is_running;
    kill $signal || 'TERM', $self->{pid};
    my $status = $self->wait_exit;
    if (!defined $status) {
        Test::More::diag("spoor did not stop, killing it");
        $self->kill_all;
    }
    $self->_kill_rest;
    return $status;
}

# SIGKILL to every process at once.
sub kill_all {
    my ($self) = @_;

    kill 'KILL', -$self->{group} if $self->{group};
    if ($self->{pid}) {
        waitpid $self->{pid}, 0;
        $self->{status} = $?;
        delete $self->{pid};
    }
    wait_for(sub { !_group_lives($self->{group}) }, 5) if $self->{group};
    return;
}

sub restart {
    my ($self) = @_;

    $self->stop;
    return $self->start;
}

# To the master, or to the pids given.
sub signal {
    my ($self, $signal, @pids) = @_;

    return kill $signal, @pids ? @pids : $self->{pid};
}

# -s VERB: exit status and what was printed.
sub ask {
    my ($self, $verb) = @_;
    my $ran = run_command([spoor_bin(), '-c', $self->conf_file, '-s', $verb]);

    return ($ran->{status}, $ran->{out} . $ran->{err});
}

# -s upgrade, with the same binary or whatever stands in its place; as ask().
# From then on the new master is the server: this process adopts it, since the
# old one, its parent, ends.
sub upgrade {
    my ($self) = @_;
    my %prctl = (x86_64 => 157, aarch64 => 167);
    my $PR_SET_CHILD_SUBREAPER = 36;
    my $number = $prctl{(POSIX::uname())[4]} or die "which number is prctl?\n";

    syscall($number, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        or die "prctl: $!\n";
    my ($status, $text) = $self->ask('upgrade');
    if ($status == 0 && $text =~ /the new master is (\d+)/) {
        $self->{pid} = $1 if defined $self->wait_exit(10);
        delete $self->{status};
    }
    return ($status, $text);
}

# --- what it is ---------------------------------------------------------------

sub dir { return $_[0]{dir} }
sub data_dir { return "$_[0]{dir}/data" }
sub conf_file { return "$_[0]{dir}/spoor.yaml" }
sub log_file { return "$_[0]{dir}/log" }
sub log { return slurp($_[0]->log_file) }
sub port { return $_[0]{port} }
sub pid { return $_[0]{pid} }
sub url { return "http://127.0.0.1:$_[0]{port}" . (defined $_[1] ? $_[1] : '') }

# True when the log has the pattern within the time.
sub wait_log {
    my ($self, $pattern, $seconds) = @_;

    return wait_for(sub { $self->log =~ $pattern }, $seconds);
}

# { master => [pid], worker => [pids] ... } of the living, by role.
sub pids {
    my ($self) = @_;
    my %roles;

    return \%roles unless $self->is_running;
    push @{$roles{master}}, $self->{pid};
    my %parent = _parents();
    for my $pid (sort { $a <=> $b } keys %parent) {
        next unless $parent{$pid} == $self->{pid};
        my $role = _role($pid);
        push @{$roles{$role}}, $pid if defined $role;
    }
    return \%roles;
}

# --- HTTP ---------------------------------------------------------------------

# A reply is a hash: status (599: no answer), reason, headers, body.
sub request {
    my ($self, $method, $path, %option) = @_;

    my $http = HTTP::Tiny->new(keep_alive => 0, proxy => undef,
        http_proxy => undef, https_proxy => undef, max_redirect => 0,
        timeout => $option{seconds} || 30, agent => 'Test-Spoor');
    my $reply = $http->request($method, $self->url($path), {
        headers => $option{headers} || {},
        defined $option{body} ? (content => $option{body}) : (),
    });
    return { %$reply, body => $reply->{content} };
}

sub get {
    my ($self, $path, $headers, $seconds) = @_;

    return $self->request('GET', $path, headers => $headers,
        seconds => $seconds);
}

sub post {
    my ($self, $path, $body, $headers, $seconds) = @_;

    return $self->request('POST', $path, body => $body, headers => $headers,
        seconds => $seconds);
}

# The decoded JSON of an answer, undef when it is none.
sub get_json {
    my ($self, $path, $headers) = @_;

    my $reply = $self->get($path, $headers);
    return eval { JSON::PP->new->utf8->decode($reply->{body}) };
}

# Value of a metric ("name" or "name{labels}"), summed over its lines when
# only the name is given; undef when there is none.
sub metric {
    my ($self, $name) = @_;
    my $sum;

    for (split /\n/, $self->get('/metrics')->{body}) {
        next unless /^(\w+)(\{[^}]*\})?\s+(\S+)/;
        next unless $name eq $1 || $name eq $1 . (defined $2 ? $2 : '');
        $sum = (defined $sum ? $sum : 0) + $3;
    }
    return $sum;
}

# A connected TCP socket.
sub connect {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'tcp', Timeout => 10,
        PeerAddr => '127.0.0.1', PeerPort => $self->{port})
        or die "connect to port $self->{port}: $!\n";
    $socket->autoflush(1);
    binmode $socket;
    return $socket;
}

# Sends bytes on a new connection and returns what comes until the server
# closes, or until the pattern of the option "until" is there, or time is up.
sub raw {
    my ($self, $bytes, %option) = @_;

    my $socket = $self->connect;
    local $SIG{PIPE} = 'IGNORE';
    syswrite $socket, $bytes;
    shutdown $socket, 1 if $option{half_close};
    return $self->read_raw($socket, %option);
}

sub read_raw {
    my ($self, $socket, %option) = @_;
    my $end = time() + ($option{seconds} || 10);
    my $select = IO::Select->new($socket);
    my $got = '';

    while ((my $left = $end - time()) > 0) {
        last unless $select->can_read($left);
        last unless sysread $socket, $got, 65536, length $got;
        last if $option{until} && $got =~ $option{until};
    }
    return $got;
}

# spoorctl WORDS with --url of this server.
sub spoorctl {
    my ($self, $verb, @words) = @_;

    return run_command([spoorctl_bin(), $verb, '--url', $self->url, @words]);
}

# --- the end ------------------------------------------------------------------

# The two checks of a server; once, at the end.
sub _final_checks {
    my ($self) = @_;

    return if $self->{checked}++ || !$self->{started};
    $self->stop;
    my $log = $self->log;
    my @panics = grep { /\bpanic\b/i } split /\n/, $log;
    my @sanitizer = grep { /$sanitizer_words/ } split /\n/, $log;
    if (!$self->{expect_panic}) {
        Test::More::is(scalar @panics, 0, 'no panic')
            or Test::More::diag(join "\n", @panics[0 .. _min($#panics, 20)]);
    }
    if (!$self->{expect_sanitizer}) {
        Test::More::is(scalar @sanitizer, 0, 'no sanitizer errors')
            or Test::More::diag(substr $log, index($log, $sanitizer[0]), 8000);
    }
    return;
}

sub _kill_rest {
    my ($self) = @_;

    return unless $self->{group} && _group_lives($self->{group});
    wait_for(sub { !_group_lives($self->{group}) }, 6)
        and return;
    Test::More::diag('processes outlived the master, killing them');
    kill 'KILL', -$self->{group};
    return;
}

sub _clean_up {
    my ($self) = @_;

    return if $self->{owner} != $$ || $self->{cleaned}++;
    $self->kill_all;
    return if $self->{keep};
    if (Test::More->builder->is_passing && !$ENV{SPOOR_TEST_KEEP}) {
        remove_tree($self->{dir}, { safe => 0, error => \my $ignored });
    } else {
        Test::More::diag("kept: $self->{dir}");
    }
    return;
}

{
    no warnings 'redefine';
    my $done_testing = \&Test::Builder::done_testing;
    *Test::Builder::done_testing = sub {
        my ($builder) = @_;
        if (!$builder->parent) {
            $_->_final_checks for grep { $_->{owner} == $$ } @servers;
        }
        goto &$done_testing;
    };
}

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

END {
    my $status = $?;
    $_->_clean_up for @servers;
    $? = $status;
}

# --- small things -------------------------------------------------------------

sub _min { return $_[0] < $_[1] ? $_[0] : $_[1] }

# The bytes of a file; '' when it cannot be read.
sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

# Writes the bytes, dies when it cannot; the path.
sub spew {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out $text;
    close $out or die "$path: $!\n";
    return $path;
}

# In a child, before exec.
sub _redirect {
    my ($in, $out, $err) = @_;

    open STDIN, '<', $in or POSIX::_exit(126);
    open STDOUT, '>>', $out or POSIX::_exit(126);
    open STDERR, '>>', $err or POSIX::_exit(126);
    return;
}

sub _flatten {
    my ($into, $from, $prefix) = @_;

    for my $key (keys %$from) {
        my $value = $from->{$key};
        if (ref $value eq 'HASH') {
            _flatten($into, $value, "$prefix$key.");
        } else {
            $into->{"$prefix$key"} = $value;
        }
    }
    return;
}

# Directives by dotted path as YAML; undef leaves one out.
sub _yaml {
    my ($conf) = @_;
    my %tree;

    for my $path (grep { defined $conf->{$_} } keys %$conf) {
        my @names = split /\./, $path;
        my $last = pop @names;
        my $node = \%tree;
        $node = $node->{$_} ||= {} for @names;
        $node->{$last} = $conf->{$path};
    }
    return _yaml_node(\%tree, '');
}

sub _yaml_node {
    my ($node, $indent) = @_;
    my $text = '';

    for my $key (sort keys %$node) {
        my $value = $node->{$key};
        if (ref $value eq 'HASH') {
            $text .= "$indent$key:\n" . _yaml_node($value, "$indent  ");
        } elsif (ref $value eq 'ARRAY') {
            $text .= "$indent$key: ["
                . join(', ', map { _yaml_scalar($_) } @$value) . "]\n";
        } else {
            $text .= "$indent$key: " . _yaml_scalar($value) . "\n";
        }
    }
    return $text;
}

sub _yaml_scalar {
    my ($value) = @_;

    return $value if $value =~ m{^[\w./][\w./-]*\z};
    $value =~ s/(["\\])/\\$1/g;
    return "\"$value\"";
}

# pid => parent of every process.
sub _parents {
    my %parent;

    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $ppid) = slurp($stat) =~ /^(\d+) \(.*\) \S+ (\d+)/s
            or next;
        $parent{$pid} = $ppid;
    }
    return %parent;
}

# True while the process runs: orphans may stay zombies for a while, since it
# is up to init to collect them.
sub is_alive {
    my ($pid) = @_;

    return slurp("/proc/$pid/stat") =~ /\) [^ZX] /;
}

sub _group_lives {
    my ($group) = @_;

    return 0 unless kill 0, -$group;
    for my $stat (glob '/proc/[0-9]*/stat') {
        return 1 if slurp($stat) =~ /\) [^ZX] \d+ $group /;
    }
    return 0;
}

# The role of a process is in its title ("spoor: worker 0").
sub _role {
    my ($pid) = @_;
    my $roles = qr/\b(worker|merge|retention|recover)\b/;

    return $1 if slurp("/proc/$pid/cmdline") =~ /^spoor: $roles/;
    return $1 if slurp("/proc/$pid/comm") =~ $roles;
    return;
}

1;
