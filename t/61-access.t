# SPDX-License-Identifier: BSD-2-Clause
#
# Who may do what: protocols x credentials x groups x addresses, all as meant;
# files of users that change and break; passwords that take long.

use strict;
use warnings;

use MIME::Base64 qw(encode_base64);
use Test::More;
use Test::Http2 qw(:all);
use Test::Spoor;
use Test::Tls;
use Time::HiRes qw(sleep time);

my $export = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
my $health = '/grpc.health.v1.Health/Check';
my %port = map { $_ => free_port() } qw(queries senders tls);

sub hashed { return crypt($_[0], '$6$rounds=1000$abcdefgh$') }

my $spoor = Test::Spoor->new(conf => {
    'workers' => 1,
    'auth.username' => 'root',
    'auth.password' => 'root:pw',
    'http.flags_auth_key' => 'key of flags',
});
my $users_file = $spoor->dir . '/users';
my $tokens_file = $spoor->dir . '/tokens';

sub put_file {
    my ($path, $text) = @_;

    open my $out, '>', "$path.new" or die "$path: $!\n";
    print $out $text;
    close $out;
    chmod 0600, "$path.new";
    rename "$path.new", $path or die "$path: $!\n";
    return;
}

my $users = join '', map { "$_\n" } '# who', 'ann:' . hashed('ann-pw'),
    'writer:' . hashed('w-pw') . ':insert', 'reader:{PLAIN}r-pw:select',
    'boss:' . hashed('b-pw') . ':admin';
put_file($users_file, $users);
put_file($tokens_file, "token-of-all\ntoken-reads:select\n");

my $certs = certs($spoor->dir . '/certs', 'name=ca ca=1 cn=ca',
    'name=a cn=a.test san=DNS:a.test issuer=ca');
my $yaml = <<"END";
http:
  listen:
    - "127.0.0.1:@{[$spoor->port]}"
    - {address: "127.0.0.1:$port{queries}", disable: [insert]}
    - {address: "127.0.0.1:$port{tls}", cert: $certs/a.pem, key: $certs/a.key}
  flags_auth_key: "key of flags"
otlp_grpc:
  listen:
    - {address: "127.0.0.1:$port{senders}", disable: [select, admin]}
auth:
  username: root
  password: "root:pw"
  users_file: $users_file
  tokens_file: $tokens_file
storage: {path: "@{[$spoor->data_dir]}"}
workers: 1
END
$spoor->{yaml} = $yaml;
$spoor->write_conf;
$spoor->start;
$port{all} = $spoor->port;

# --- the matrix ----------------------------------------------------------------

sub basic { return 'Basic ' . encode_base64("$_[0]:$_[1]", '') }

my @all = qw(insert select admin other);
# name => [field, groups it may, argument authKey]
my %credential = (
    none => [undef],
    'wrong password' => [basic('root', 'rootpw')],
    'no password' => [basic('root', '')],
    'wrong hashed password' => [basic('ann', 'ann-pW')],
    'unknown user' => [basic('who', 'root:pw')],
    'wrong token' => ['Bearer token-of-nobody'],
    'token as a password' => [basic('token', 'token-of-all')],
    'password as a token' => ['Bearer root:pw'],
    'not understood' => ['Digest username="root"'],
    'authKey alone' => [undef, [], 'key+of+flags'],
    'wrong authKey alone' => [undef, [], 'key+of+flagz'],
    root => [basic('root', 'root:pw'), \@all],
    hashed => [basic('ann', 'ann-pw'), \@all],
    token => ['Bearer token-of-all', \@all],
    'token, lower case' => ['bearer token-of-all', \@all],
    writer => [basic('writer', 'w-pw'), ['insert', 'other']],
    reader => [basic('reader', 'r-pw'), ['select', 'other']],
    boss => [basic('boss', 'b-pw'), ['admin', 'other']],
    'reading token' => ['Bearer token-reads', ['select', 'other']],
    'root with a wrong authKey' => [basic('root', 'root:pw'), \@all, 'x'],
    'unknown user with authKey' => [basic('who', 'x'), [], 'key+of+flags'],
);
# name => [method, path, body, group]
my %endpoint = (
    insert => ['POST', '/v1/traces', '{"resourceSpans":[]}', 'insert'],
    select => ['GET', '/select/jaeger/api/services', undef, 'select'],
    admin => ['POST', '/internal/partition/list', '', 'admin'],
    keyed => ['GET', '/flags', undef, 'admin'],
    home => ['GET', '/', undef, 'other'],
    unknown => ['GET', '/nothing', undef, 'other'],
    method => ['GET', '/internal/force_flush', undef, 'admin'],
    open => ['GET', '/health', undef, 'open'],
    ping => ['GET', '/ping', undef, 'open'],
    icon => ['GET', '/some/favicon.ico', undef, 'open'],
);
my %call = (export => [$export, 'insert'], health => [$health, 'open'],
    unknown => ['/no.Service/Method', 'other']);
my %closed = (all => {}, tls => {}, queries => { insert => 1 },
    senders => { select => 1, admin => 1 });

sub expected {
    my ($endpoint, $credential, $listener) = @_;
    my $group = $endpoint{$endpoint}[3];
    my (undef, $groups, $key) = @{$credential{$credential}};
    my $good = { unknown => 404, method => 405, ping => 204 }->{$endpoint}
        || 200;

    return 403 if $closed{$listener}{$group};
    return $good if $group eq 'open';
    if ($endpoint eq 'keyed') {
        return defined $key && $key eq 'key+of+flags' ? 200 : 401;
    }
    return 401 unless @{$groups || []};
    return (grep { $_ eq $group } @$groups) ? $good : 403;
}

sub expected_call {
    my ($call, $credential, $listener) = @_;
    my $group = $call{$call}[1];
    my $groups = $credential{$credential}[1];

    return 7 if $closed{$listener}{$group};
    return 0 if $group eq 'open';
    return 16 unless @{$groups || []};
    return 12 if $call eq 'unknown';
    return (grep { $_ eq $group } @$groups) ? 0 : 7;
}

my (%h2, $total, @wrong, @unasked);

sub h2 {
    my ($listener) = @_;

    delete $h2{$listener} if $h2{$listener} && $h2{$listener}{goaways};
    $h2{$listener} ||= Test::Http2->connect($port{$listener});
    return $h2{$listener};
}

sub ask_h1 {
    my ($listener, $method, $path, $body, $fields) = @_;
    my $reply = HTTP::Tiny->new(keep_alive => 0)->request($method,
        "http://127.0.0.1:$port{$listener}$path",
        { headers => { @$fields },
        defined $body ? (content => $body) : () });

    return ($reply->{status}, $reply->{headers}{'www-authenticate'});
}

sub ask_h2 {
    my ($listener, $method, $path, $body, $fields) = @_;
    my $conn = h2($listener);
    my @lower = map { $_ % 2 ? $fields->[$_] : lc $fields->[$_] }
        0 .. $#$fields;
    my $reply = $method eq 'POST' ? $conn->post($path, $body, \@lower)
        : $conn->get($path, \@lower);

    return ($reply->{status}, $reply->{headers}{'www-authenticate'});
}

for my $listener (grep { $_ ne 'tls' } sort keys %port) {
    for my $credential (sort keys %credential) {
        my ($field, undef, $key) = @{$credential{$credential}};
        my @fields = defined $field ? ('Authorization' => $field) : ();
        my $argument = defined $key ? "?authKey=$key" : '';

        for my $endpoint (sort keys %endpoint) {
            my ($method, $path, $body) = @{$endpoint{$endpoint}};
            my $want = expected($endpoint, $credential, $listener);

            for my $protocol (\&ask_h1, \&ask_h2) {
                my ($got, $asked) = $protocol->($listener, $method,
                    "$path$argument", $body, [@fields,
                    $endpoint eq 'insert'
                    ? ('Content-Type' => 'application/json') : ()]);
                my $name = ($protocol == \&ask_h1 ? 'HTTP/1.1' : 'HTTP/2')
                    . " $listener $credential $endpoint";
                $total++;
                push @wrong, "$name: $got, not $want" if $got != $want;
                push @unasked, $name if $got == 401 && !$asked
                    && $endpoint ne 'keyed';
            }
        }
        for my $call (sort keys %call) {
            my $reply = h2($listener)->post($call{$call}[0],
                pack('CN', 0, 0), ['content-type' => 'application/grpc',
                te => 'trailers',
                @fields ? (authorization => $field) : ()]);
            my %status = (%{$reply->{headers}}, %{$reply->{trailers} || {}});
            my $want = expected_call($call, $credential, $listener);
            my $got = $status{'grpc-status'};

            $total++;
            push @wrong, "gRPC $listener $credential $call: "
                . (defined $got ? $got : 'none') . ", not $want"
                unless defined $got && $got == $want;
        }
    }
}
# The same over TLS, by one curl for each credential and protocol.  It gives
# up on answers that come before it has sent its body over HTTP/2 (92), so what
# is refused has none there.
sub curl_item {
    my ($item, $version, @fields) = @_;
    my ($method, $path, $body) = @$item;
    my $text = "url = \"https://a.test:$port{tls}$path\"\n$version\nsilent\n"
        . "cacert = \"$certs/ca.pem\"\nresolve = \"a.test:$port{tls}:"
        . "127.0.0.1\"\nrequest = $method\nshow-error\noutput = /dev/null\n"
        . "write-out = \"%{http_code} %header{grpc-status}\\n\"\n";

    $text .= "header = \"$_\"\n" for @fields;
    $text .= "data-binary = \"\@$body\"\n" if defined $body;
    return $text;
}

sub curl_all {
    my (@items) = @_;
    my $run = run_command(['curl', '-K', '-'], stdin => join "next\n", @items);

    diag $run->{err} if $run->{err};

    return split /\n/, $run->{out};
}

my %body = (json => $spoor->dir . '/json', grpc => $spoor->dir . '/grpc');
put_file($body{json}, '{"resourceSpans":[]}');
put_file($body{grpc}, pack 'CN', 0, 0);
for my $credential (sort keys %credential) {
    my ($field, undef, $key) = @{$credential{$credential}};
    (my $quoted = defined $field ? $field : '') =~ s/(["\\])/\\$1/g;
    my @fields = defined $field ? "Authorization: $quoted" : ();
    my $argument = defined $key ? "?authKey=$key" : '';

    for my $version ('http1.1', 'http2') {
        my @names = sort keys %endpoint;
        my @got = curl_all(map {
            my ($method, $path, $body) = @{$endpoint{$_}};
            my $is_refused = expected($_, $credential, 'tls') >= 400;
            curl_item([$method, "$path$argument", $body
                && !($version eq 'http2' && $is_refused) ? $body{json}
                : undef], $version, @fields, 'Content-Type: application/json');
        } @names);

        for my $endpoint (@names) {
            my $want = expected($endpoint, $credential, 'tls');
            my $got = (split / /, shift @got || 'none')[0];
            $total++;
            push @wrong, "TLS $version $credential $endpoint: $got, not $want"
                if $got ne $want;
        }
    }
    my @names = sort keys %call;
    my @got = curl_all(map { curl_item(['POST', $call{$_}[0],
        expected_call($_, $credential, 'tls') ? undef : $body{grpc}],
        'http2', @fields, 'Content-Type: application/grpc') } @names);
    for my $call (@names) {
        my $want = expected_call($call, $credential, 'tls');
        my ($status, $code) = split / /, shift @got || 'none';
        $total++;
        $code = 0 if $status eq '200' && !length($code || '');
        push @wrong, "TLS gRPC $credential $call: $status, "
            . (defined $code ? $code : 'none') . ", not $want"
            unless defined $code && $code eq $want;
    }
}
diag $_ for @wrong;
is_deeply \@wrong, [], "$total combinations, all as meant";
is_deeply \@unasked, [], 'every 401 says how to do better';
cmp_ok $total, '>=', 1000, 'protocols x credentials x endpoints x addresses';
diag sprintf '%d combinations: %d endpoints over HTTP/1.1, HTTP/2, TLS, %d '
    . 'calls of gRPC, %d credentials, %d addresses', $total,
    scalar keys %endpoint, scalar keys %call, scalar keys %credential,
    scalar keys %port;

# --- texts ---------------------------------------------------------------------

my $root = { 'Authorization' => basic('root', 'root:pw') };
my $closed = HTTP::Tiny->new->post("http://127.0.0.1:$port{queries}/v1/traces",
    { content => '{}', headers => { %$root,
    'Content-Type' => 'application/json' } });
like $closed->{content}, qr/http\.listen\.disable/,
    'who finds a group closed reads which directive it is';
my $refused = $spoor->get('/flags?authKey=nono');
like $refused->{body}, qr/-flagsAuthKey/, 'or which key is wanted';
my $metrics = $spoor->get('/metrics', $root)->{body};
like $metrics, qr/vm_http_request_errors_total\{path="\*",reason="$_"\} [1-9]/,
    "counted: $_" for qw(wrong_basic_auth wrong_auth_key);
like $metrics, qr/^spoor_http_users 7$/m, 'users and tokens are counted';

# --- bodies --------------------------------------------------------------------

# The head decides: nothing of the body has to be sent.
my $head = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: "
    . "application/json\r\nContent-Length: 5000000\r\n";
my $start = time();
like $spoor->raw("$head\r\n", until => qr/\r\n\r\n/),
    qr{^HTTP/1\.1 401 }, 'refused before the body';
like $spoor->raw("${head}Expect: 100-continue\r\n\r\n",
    until => qr/\r\n\r\n/), qr{^HTTP/1\.1 401 }, 'and not invited to send it';
cmp_ok time() - $start, '<', 5, 'at once';

# A password that takes long, and a body that is there before the answer.
my $body = '{"resourceSpans":[]}' . ' ' x 400_000;
$spoor->signal('HUP'); # nothing is remembered
ok $spoor->wait_log(qr/reload: done/, 20), 'a reload';
for my $protocol (\&ask_h1, \&ask_h2) {
    %h2 = ();
    for my $field (basic('ann', 'ann-pw'), basic('ann', 'no' . rand())) {
        my ($status) = $protocol->('all', 'POST', '/v1/traces', $body,
            ['Authorization' => $field,
            'Content-Type' => 'application/json']);
        is $status, $field eq basic('ann', 'ann-pw') ? 200 : 401,
            'a large body behind a hashed password';
    }
}

# --- files that change ---------------------------------------------------------

sub status_of {
    my ($user, $password) = @_;

    return $spoor->get('/select/jaeger/api/services',
        { 'Authorization' => basic($user, $password) })->{status};
}

is status_of('new', 'n-pw'), 401, 'a user that is not there yet';
put_file($users_file, $users . "new:{PLAIN}n-pw\n");
ok wait_for(sub { status_of('new', 'n-pw') == 200 }, 15),
    'a user that was added';
is status_of('ann', 'ann-pw'), 200, 'beside the others';
put_file($users_file, "${users}new:n-pw-canary\n");
ok $spoor->wait_log(qr/\Q$users_file\E:6: the password is neither/, 15),
    'a broken file is told with its line';
is status_of('new', 'n-pw'), 200, 'and the old users stay';
is status_of('reader', 'r-pw'), 200, 'all of them';
my $lines = () = $spoor->log =~ /users:6:/g;
is $lines, 1, 'in one line';
unlike $spoor->log, qr/canary/, 'that does not show the password';
unlink $users_file;
ok $spoor->wait_log(qr/No such file/, 15), 'a file that is gone';
is status_of('new', 'n-pw'), 200, 'takes nobody with it';
put_file($users_file, $users);
ok wait_for(sub { status_of('new', 'n-pw') == 401 }, 15), 'until it is back';
put_file($tokens_file, "another-token\n");
ok wait_for(sub {
    $spoor->get('/', { Authorization => 'Bearer another-token' })->{status}
        == 200;
}, 15), 'tokens change, too';
is $spoor->get('/', { Authorization => 'Bearer token-of-all' })->{status},
    401, 'and go';

# --- other sites ---------------------------------------------------------------

my $list = '/internal/partition/list';
is $spoor->post($list, '', { %$root, %{$_->[0]} })->{status}, $_->[1],
    join ' ', 'admin with', %{$_->[0]}
    for [{ 'Sec-Fetch-Site' => 'cross-site' }, 403],
        [{ 'Sec-Fetch-Site' => 'same-site' }, 403],
        [{ 'Sec-Fetch-Site' => 'same-origin' }, 200],
        [{ Origin => 'http://evil.example' }, 403],
        [{ Origin => 'null' }, 403],
        [{ Origin => 'http://127.0.0.1:' . $spoor->port }, 200];

$spoor->stop;
done_testing;
