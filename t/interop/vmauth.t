# SPDX-License-Identifier: BSD-2-Clause
#
# A real vmauth with the users of contrib/vmauth in front of two servers:
# inserts go to one, queries to the other, so it shows what went where.
#
#     make interop SPOOR_VMAUTH=/usr/local/bin/vmauth

use strict;
use warnings;

use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time sleep);

my $vmauth = $ENV{SPOOR_VMAUTH};

plan skip_all => 'SPOOR_VMAUTH names no vmauth' unless $vmauth && -x $vmauth;

my $json = JSON::PP->new->utf8;
my $both = Test::Spoor->new->start;     # inserts and queries
my $insert = Test::Spoor->new->start;   # inserts by path only
my $select = Test::Spoor->new->start;   # queries by path only
my @children;

END { local $?; kill 'TERM', $_ for @children }

# The configuration of contrib/; queries may go elsewhere than inserts.
sub vmauth {
    my ($name, $insert_port, $select_port) = @_;
    my $file = spoor_root() . '/contrib/vmauth/auth.yml';
    my $dir = $both->dir;
    my $port = free_port();

    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    my @rules = split /(?=src_paths:)/, $text;
    for (@rules) {
        my $to = m{^src_paths: \["/insert} ? $insert_port : $select_port;
        s/127\.0\.0\.1:10428/127.0.0.1:$to/;
    }
    $text = join '', @rules;
    open my $out, '>', "$dir/$name.yml" or die "$name.yml: $!\n";
    print $out $text;
    close $out;
    my $pid = fork();
    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        open STDOUT, '>', "$dir/$name.log";
        open STDERR, '>&', \*STDOUT;
        exec $vmauth, "-auth.config=$dir/$name.yml",
            "-httpListenAddr=127.0.0.1:$port" or POSIX::_exit(127);
    }
    push @children, $pid;
    wait_for(sub { ask($port, 'GET', '/health', '')->{status} == 200 }, 30)
        or die "$name does not answer\n";
    return $port;
}

# credentials: "user:password", a token, or ''.
sub ask {
    my ($port, $method, $path, $credentials, %option) = @_;
    my %headers = %{$option{headers} || {}};

    $headers{Authorization} = $credentials =~ /:/
        ? 'Basic ' . encode_base64($credentials, '') : "Bearer $credentials"
        if length $credentials;
    return HTTP::Tiny->new(proxy => undef, http_proxy => undef,
        timeout => 30)->request($method, "http://127.0.0.1:$port$path", {
            headers => \%headers,
            defined $option{body} ? (content => $option{body}) : () });
}

sub insert {
    my ($port, $credentials, $service, %headers) = @_;

    return ask($port, 'POST', '/v1/traces', $credentials,
        headers => { otlp_type('json'), %headers },
        body => traces_json(resource_spans($service, otlp_span(
            startTimeUnixNano => otlp_now(), endTimeUnixNano => otlp_now()
        ))))->{status};
}

sub services {
    my ($port, $credentials, %headers) = @_;
    my $reply = ask($port, 'GET', '/select/jaeger/api/services',
        $credentials, headers => \%headers);

    return "status $reply->{status}" unless $reply->{success};
    return join ' ', sort @{$json->decode($reply->{content})->{data} || []};
}

sub stored {
    my ($spoor, $account, $project) = @_;

    return join ' ', sort(jaeger_names($spoor, undef,
        { AccountID => $account, ProjectID => $project }));
}

my ($shop, $collector, $viewer) = ('shop:shop-secret',
    'pay-collector:pay-collector-secret', 'pay-viewer-token');
my %spoofed = (AccountID => 99, ProjectID => 7);
my $port = vmauth('one', $both->port, $both->port);

# --- who may what ----------------------------------------------------------------

is ask($port, 'GET', '/health', '')->{content}, 'OK', '/health needs no user';
for my $credentials ('', 'shop:wrong', 'nobody:shop-secret', 'wrong-token') {
    is insert($port, $credentials, 'intruder'), 401,
        "no insert by '$credentials'";
    is services($port, $credentials), 'status 401', 'and no query';
}
is insert($port, $viewer, 'intruder'), 400, 'who queries does not insert';
is services($port, $collector), 'status 400', 'who inserts does not query';
for my $path (qw(/internal/force_flush /internal/partition/list /insertx)) {
    is ask($port, 'GET', $path, $shop)->{status}, 400, "$path is not there";
}
unlike ask($port, 'GET', '/metrics', $shop)->{content}, qr/^spoor_/m,
    '/metrics is that of vmauth';

# --- tenants ---------------------------------------------------------------------

is insert($port, $shop, 'shop-api', %spoofed), 200, 'shop inserts';
is insert($port, $collector, 'pay-api', %spoofed), 200, 'pay inserts';
is ask($port, 'POST', '/insert/opentelemetry/v1/traces', $shop,
    headers => { otlp_type('pb') }, body => otlp_pb(otlp_span()))->{status},
    200, 'by the other path, protobuf';
is services($port, $shop, %spoofed), 'shop-api test', 'shop sees its own';
is services($port, $viewer, %spoofed), 'pay-api', 'pay sees its own';
is stored($both, 12, 0), 'shop-api test', 'the tenant of shop';
is stored($both, 12, 3), 'pay-api', 'the tenant of pay';
is stored($both, @$_), '', "nothing in tenant @$_"
    for [0, 0], [99, 7], [99, 0], [12, 7];
is ask($port, 'GET', '/select/tenant_ids', $shop)->{status}, 403,
    'nobody asks for the others';

# --- by path ---------------------------------------------------------------------

my $split = vmauth('two', $insert->port, $select->port);
is insert($split, $shop, 'split'), 200, 'an insert';
is stored($insert, 12, 0), 'split', 'goes to the one server';
is stored($select, 12, 0), '', 'and not to the other';
is services($split, $shop), '', 'a query goes to the other';
post_traces($select, resource_spans('there', otlp_span()),
    [AccountID => 12, ProjectID => 0]);
is services($split, $shop), 'there', 'and finds what is there';

# --- large bodies and answers ------------------------------------------------------

my $large = traces_json(resource_spans('large', map { otlp_span(
    name => "large $_", attributes => attributes(text => 'x' x 20000)) }
    1 .. 1000));
is ask($port, 'POST', '/v1/traces', $shop, headers => { otlp_type('json') },
    body => $large)->{status}, 200, sprintf '%d MB', length($large) / 1e6;
my $answer = ask($port, 'GET', '/select/logsql/query?query=' .
    uri('name:~"^large" | limit 1000'), $shop);
is $answer->{status}, 200, 'a large answer';
is +(() = $answer->{content} =~ /\n/g), 1000, 'is whole';

# --- tailing -----------------------------------------------------------------------

my $tail = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
    or die "connect: $!\n";
print $tail "GET /select/logsql/tail?offset=0s&refresh_interval=50ms&query="
    . uri('name:~"^tail"') . " HTTP/1.1\r\nHost: a\r\nAuthorization: Basic "
    . encode_base64($shop, '') . "\r\n\r\n";
my $select_tail = IO::Select->new($tail);
my $data = '';
ok wait_for(sub { $both->metric('vt_live_tailing_requests') == 1 }, 10),
    'a tail';
for my $n (1 .. 3) {
    ask($port, 'POST', '/v1/traces', $shop, headers => { otlp_type('json') },
        body => traces_json(resource_spans('tailed', otlp_span(
            name => "tail$n", startTimeUnixNano => otlp_now(),
            endTimeUnixNano => otlp_now()))));
    ok wait_for(sub {
        sysread $tail, $data, 65536, length $data
            if $select_tail->can_read(0.05);
        return $data =~ /"tail$n"/;
    }, 10), 'a row as soon as it is there';
}
close $tail;
ok wait_for(sub { $both->metric('vt_live_tailing_requests') == 0 }, 10),
    'which ends with its client';

# --- reloads of spoor ------------------------------------------------------------

my %failed;
for my $n (1 .. 300) {
    $both->signal('HUP') if $n % 60 == 0;
    $failed{insert}++ if insert($port, $shop, "reload$n") != 200;
    $failed{query}++ if services($port, $shop) !~ /reload/;
}
is_deeply \%failed, {}, '600 requests during 5 reloads, none failed';

done_testing();
