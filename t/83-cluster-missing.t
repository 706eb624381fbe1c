# SPDX-License-Identifier: BSD-2-Clause
#
# Queries of a front while nodes are missing: an error that names the node and
# says why in the form of each API, or what the others have, marked, where that
# was asked for; nodes that die or hang in the middle; clients that leave; nodes
# that are something else, of another version, or do not let the front in.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %quick = (workers => 1, 'cluster.probe_interval' => '100ms',
    'cluster.connect_timeout' => '1s', 'cluster.select_idle_timeout' => '1s');
my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start } 1 .. 2;
my ($a, $b) = map { '127.0.0.1:' . $_->port } @stores;

sub front_of {
    my ($nodes, %conf) = @_;

    return Test::Spoor->new(conf => { %quick, storage_nodes => $nodes, %conf })
        ->start;
}

my $front = front_of([$a, $b]);
my $lax = front_of([$a, $b], 'search.allow_partial_response' => 'true');

# Some text that makes answers long.
my $padding = join '', map { chr 33 + ($_ * 7919) % 90 } 1 .. 2000;
my $now = time();

for my $i (0 .. 59) {
    post_traces($stores[$i % 2], resource_spans($i % 2 ? 'odd' : 'even',
        map { otlp_span(traceId => sprintf('%032x', $i + 1),
            spanId => sprintf('%016x', 100 * $i + $_ + 1), name => "op-$_",
            attributes => attributes(text => $padding . $i)) } 0 .. 49));
}

sub logsql {
    my ($query, %arg) = @_;
    my $what = delete $arg{what} || 'query';

    return "/select/logsql/$what?" . join '&', 'query=' . uri($query),
        map { "$_=" . uri($arg{$_}) } sort keys %arg;
}

my %apis = (
    query => logsql('* | count() n'),
    rows => logsql('* | fields span_id'),
    stats_query => logsql('* | count() n', what => 'stats_query'),
    hits => logsql('*', what => 'hits', step => '1h', start => $now - 3600),
    field_names => logsql('*', what => 'field_names'),
    facets => logsql('*', what => 'facets'),
    streams => logsql('*', what => 'streams'),
    export => '/select/otlp/export?query=*',
    services => '/select/jaeger/api/services',
    search => '/select/jaeger/api/traces?service=even',
    trace => sprintf('/select/jaeger/api/traces/%032x', 1),
    dependencies => '/select/jaeger/api/dependencies',
    tenants => '/select/tenant_ids?',
);

sub ask {
    my ($spoor, $path, @more) = @_;

    return $spoor->get($path . join '', map { "&$_" } @more) if $path =~ /\?/;
    return $spoor->get($path . (@more ? '?' . join '&', @more : ''));
}

# The text of an error in the API's form.
sub error_of {
    my ($name, $reply) = @_;

    return $reply->{body}
        if $name !~ /^(?:stats_query|services|search|trace|dependencies)$/;
    my $body = eval { $json->decode($reply->{body}) } || {};
    return $body->{error} // '' if $name eq 'stats_query';
    my $error = ($body->{errors} || [])->[0] || {};
    return $error->{code} == $reply->{status} ? $error->{msg} : 'no error';
}

sub all_fail {
    my ($spoor, $pattern, $where, @more) = @_;

    for my $name (sort keys %apis) {
        my $reply = ask($spoor, $apis{$name}, @more);
        is $reply->{status}, 502, "$where: $name";
        like error_of($name, $reply), $pattern, "$where: $name: the text";
    }
}

is ask($front, $apis{$_})->{status}, 200, "both are there: $_"
    for sort keys %apis;
my $all = ask($front, $apis{query})->{body};
like $all, qr/"n":"3000"/, 'all rows';

# --- one node is gone -----------------------------------------------------------

is $stores[1]->stop, 0, 'a node stops';
all_fail($front, qr/^storage node \Q$b\E: /, 'gone');
all_fail($front, qr/^storage node \Q$b\E: /, 'refused',
    'allow_partial_response=0');

my $left_out = 'storage nodes that cannot be reached were left out';

sub is_partial {
    my ($spoor, @more) = @_;

    for my $name (grep { $_ ne 'tenants' } sort keys %apis) {
        my $reply = ask($spoor, $apis{$name}, @more);
        is $reply->{status}, 200, "@more: $name" or diag $reply->{body};
        is $reply->{headers}{'spoor-partial'}, 'true', "@more: $name: marked";
        next unless $name =~ /^(?:services|search|trace|dependencies)$/;
        like $reply->{body}, qr/"code":206,"msg":"$left_out: \Q$b\E \(/,
            "$name: which is missing";
    }
}

is_partial($front, 'allow_partial_response=1');
is_partial($lax);
is ask($lax, $apis{rows}, 'allow_partial_response=0')->{status}, 502,
    'a request can refuse it';
is ask($lax, $apis{tenants}, 'allow_partial_response=1')->{status}, 502,
    'a list of tenants is never partial';
like ask($front, logsql('options(allow_partial_response=true) * | count() n'))
    ->{body}, qr/"n":"1500"/, 'rows of the other one';
is ask($lax, logsql('options(allow_partial_response=false) *'))->{status}, 502,
    'options() count more';
my $trace = ask($lax, $apis{trace});
like $trace->{body}, qr/"warnings":\["storage\ nodes\ that\ cannot/x,
    'a trace warns';
my $nowhere = ask($lax, sprintf '/select/jaeger/api/traces/%032x', 2);
is $nowhere->{status}, 502, 'a trace that may be on the missing node';
like $nowhere->{body}, qr/not found, but storage nodes cannot be reached/,
    'is not said to be none';
my $several = ask($lax, sprintf '/select/jaeger/api/traces?traceID=%032x'
    . '&traceID=%032x', 1, 2);
like $several->{body}, qr/"code":206/, 'several: missing nodes are told';
like $several->{body}, qr/not found, but storage nodes/, 'and what lacks';
cmp_ok $front->metric('spoor_query_partial_total') // 0, '>=', 0, 'metrics';

# Two levels: what the middle lacks is known above.
my $middle = front_of([$a, $b]);
my $top = front_of(['127.0.0.1:' . $middle->port]);
my $above = '127.0.0.1:' . $middle->port;
all_fail($top, qr/^storage node \Q$above\E: storage node \Q$b\E: /, 'below');
my $reply = ask($top, $apis{search}, 'allow_partial_response=1');
is $reply->{headers}{'spoor-partial'}, 'true', 'two levels: marked';
like $reply->{body}, qr/left out: \Q$above\E \(it lacks nodes/,
    'and where to look';

# --- all are gone ---------------------------------------------------------------

is $stores[0]->stop, 0, 'the other one stops';
all_fail($lax, qr/^storage node (?:\Q$a\E|\Q$b\E): /, 'all gone');
$_->start for @stores;
my $seconds = time();
wait_for(sub { ask($front, $apis{query})->{body} eq $all }, 10);
is ask($front, $apis{query})->{body}, $all, 'both are back: all rows';
cmp_ok time() - $seconds, '<', 5, 'soon';
ok wait_for(sub { !ask($lax, $apis{query})->{headers}{'spoor-partial'} }, 5),
    'and not marked any more';

# --- a node hangs ---------------------------------------------------------------

sub hang {
    my ($spoor, $signal) = @_;
    my $pids = $spoor->pids;

    return $spoor->signal($signal, map { @$_ } values %$pids);
}

hang($stores[1], 'STOP');
for my $name (qw(query services trace)) {
    $seconds = time();
    $reply = ask($front, $apis{$name});
    $seconds = time() - $seconds;
    is $reply->{status}, 502, "hangs: $name";
    like error_of($name, $reply), qr/^storage node \Q$b\E: /, 'which one';
    cmp_ok $seconds, '<', 4, sprintf 'in %.1f s', $seconds;
}
$seconds = time();
$reply = ask($lax, $apis{query});
like $reply->{body}, qr/"n":"1500"/, 'hangs: the rows of the other one';
cmp_ok time() - $seconds, '<', 4, 'in time';
$seconds = time();
$reply = ask($front, logsql('*', timeout => '300ms'));
is $reply->{status}, 503, 'the time of a query is up before'
    or diag $reply->{body};
cmp_ok time() - $seconds, '<', 2, 'and is kept';
hang($stores[1], 'CONT');
wait_for(sub { ask($front, $apis{query})->{body} eq $all }, 10);
is ask($front, $apis{query})->{body}, $all, 'it goes on: all rows';

# --- clients and nodes that leave in the middle ---------------------------------

# A client that has read some of a long answer.
sub slow_client {
    my ($spoor, $path) = @_;
    my $socket = $spoor->connect;
    my $data = '';

    print $socket "GET $path HTTP/1.1\r\nHost: a\r\n\r\n";
    sysread $socket, $data, 1000, length $data while length $data < 20000;
    return ($socket, $data);
}

sub running {
    my ($spoor) = @_;

    return $spoor->metric('vt_concurrent_select_current');
}

my $long = logsql('* | copy "span_attr:text" a'
    . join '', map { " | copy a a$_" } 1 .. 20);
# Where answers are as long as they look.
my $plain = front_of([$a, $b], 'select.disable_compression' => 'true');

{
    my ($socket, $data) = slow_client($plain, $long);
    ok wait_for(sub { running($stores[0]) > 0 || running($stores[1]) > 0 }, 5),
        'a slow client makes nodes wait';
    close $socket;
    ok wait_for(sub { running($stores[0]) + running($stores[1]) == 0 }, 5),
        'when it leaves, their queries end';
    ok wait_for(sub { running($plain) == 0 }, 5), 'as does that of the front';
}

for my $more ('', '&allow_partial_response=1') {
    my ($socket, $data) = slow_client($plain, $long . $more);
    $stores[1]->kill_all;
    while (sysread $socket, my $some, 1 << 20) {
        $data = substr($data, -1000) . $some;
    }
    unlike $data, qr/\r\n0\r\n\r\n\z/, "killed in the middle$more: the answer "
        . 'has no end';
    $stores[1]->start;
    for my $this ($front, $plain) {
        wait_for(sub { ask($this, $apis{query})->{body} eq $all }, 10);
    }
}
is ask($front, $apis{query})->{body}, $all, 'back again';

# --- tail -----------------------------------------------------------------------

{
    my $socket = $front->connect;
    my ($data, $until) = ('', time() + 10);
    print $socket 'GET ' . logsql('"span_attr:tailed":yes', what => 'tail',
        refresh_interval => '50ms', offset => '0s')
        . " HTTP/1.1\r\nHost: a\r\n\r\n";
    sleep 0.2;
    post_traces($stores[$_], resource_spans('tail', otlp_span(name => "t$_",
        attributes => attributes(tailed => 'yes')))) for 0, 1;
    my $select = IO::Select->new($socket);
    while (time() < $until && ($data !~ /"t0"/ || $data !~ /"t1"/)) {
        sysread $socket, $data, 65536, length $data if $select->can_read(0.1);
    }
    like $data, qr/"name":"t$_"/, "tail: a span of node $_" for 0, 1;
}

# --- what is no node ------------------------------------------------------------

# A server that answers everything with these bytes.
sub fake {
    my ($bytes) = @_;
    my $listen = IO::Socket::INET->new(Listen => 10, ReuseAddr => 1,
        LocalAddr => '127.0.0.1') or die "listen: $!\n";
    my $pid = fork // die "fork: $!\n";

    return ($pid, '127.0.0.1:' . $listen->sockport) if $pid;
    alarm 120;
    while (my $socket = $listen->accept) {
        my $text = '';
        while ($text !~ /\r\n\r\n/) {
            sysread $socket, $text, 4096, length $text or last;
        }
        my ($length) = $text =~ /content-length: (\d+)/i;
        while ($length && length($text) - index($text, "\r\n\r\n") - 4
            < $length) {
            sysread $socket, $text, 65536, length $text or last;
        }
        print $socket $text =~ m{^GET /health}
            ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK" : $bytes;
        close $socket;
    }
    exit 0;
}

sub http { return "HTTP/1.1 $_[0]\r\nContent-Length: " . length($_[1])
    . "\r\n\r\n$_[1]" }

for my $case (
    ['401', http('401 No', "who are you?\n"),
        qr/does not let this server in \(401: who are you\?\)/],
    ['403', http('403 No', "closed\n"), qr/\(403: closed\).*internalselect|
        \(403:\ closed\)/x],
    ['404', http('404 Not Found', 'none'), qr/is it spoor, of this version/],
    ['400', http('400 Bad', "this server speaks version spoor9\n"),
        qr/answers 400: this server speaks version spoor9/],
    ['500', http('500 Oh', "oh\n"), qr/answers 500: oh/],
    ['garbage', http('200 OK', 'garbage in here, and more of it'),
        qr/malformed/],
    ['no END', http('200 OK', ''), qr/ends early/],
    ['cut', "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", qr/./],
    ['no HTTP', "SSH-2.0-OpenSSH_9.2\r\n\r\n", qr/./],
    ['502', http('502 Bad Gateway', ''), qr/a proxy in front of it answers 502/],
) {
    my ($name, $bytes, $pattern) = @$case;
    my ($pid, $address) = fake($bytes);
    my $this = front_of([$a, $address]);
    $reply = ask($this, $apis{query});
    is $reply->{status}, 502, "$name: 502";
    like $reply->{body}, qr/^storage node \Q$address\E: /, "$name: which";
    like $reply->{body}, $pattern, "$name: why";
    $reply = ask($this, $apis{query}, 'allow_partial_response=1');
    is $reply->{status}, $name =~ /^(?:502|no END|cut)$/ ? 200 : 502,
        "$name: left out only when it cannot be reached"
        or diag $reply->{body};
    kill 'KILL', $pid;
    waitpid $pid, 0;
    $this->stop;
}

{
    my ($pid, $address) = fake(http('503 Busy', "too many\n"));
    my $this = front_of([$a, $address]);
    $reply = ask($this, $apis{query}, 'allow_partial_response=1');
    is $reply->{status}, 503, 'a busy node: 503';
    like $reply->{body}, qr/^storage node \Q$address\E: it is busy/, 'which';
    kill 'KILL', $pid;
    waitpid $pid, 0;
    $this->stop;
}

for my $switch ('internal_select.disable', 'select.disable') {
    my $closed = Test::Spoor->new(conf => { workers => 1, $switch => 'true' })
        ->start;
    my $address = '127.0.0.1:' . $closed->port;
    my $this = front_of([$a, $address]);
    $reply = ask($this, $apis{query}, 'allow_partial_response=1');
    is $reply->{status}, 502, "$switch: 502";
    like $reply->{body}, qr/^storage node \Q$address\E: .*\Q$switch\E/,
        'with its name';
}

# --- what a node says to strangers ----------------------------------------------

$reply = $stores[0]->post('/internal/select/query?version=spoor0', '');
is $reply->{status}, 400, 'another version';
like $reply->{body}, qr/version spoor1 .*'spoor0'/, 'both are named';
$reply = $stores[0]->post('/internal/select/query', '');
is $reply->{status}, 400, 'no version';
$reply = $stores[0]->post('/internal/select/query?version=spoor1', 'nonsense');
is $reply->{status}, 400, 'no plan';
is $stores[0]->get('/internal/select/query?version=spoor1')->{status}, 405,
    'GET';

# An error of a query is the client's everywhere.
is ask($front, logsql('* | sort by ('))->{status}, 400, 'a wrong query: 400';
$reply = ask($front, logsql('* | stats by (span_id) count() n, uniq_values('
    . 'text) t | fields n', timeout => '1ms'));
is $reply->{status}, 503, 'too little time: 503' or diag $reply->{body};

done_testing;
