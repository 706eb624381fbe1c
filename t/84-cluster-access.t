# SPDX-License-Identifier: BSD-2-Clause
#
# Who a front trusts and who lets a front in: TLS, names and authorities of
# certificates, certificates of clients, users, tokens, closed groups.  Each
# combination is accepted or refused, for inserts and for queries; what is
# refused is told with the node's name and shows no secret, and nothing of it
# is stored.

use strict;
use warnings;

use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Tls;
use Test::Traces;

my $dir = tempdir('spoor-access-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $ips = join ',', map { "IP:127.0.0.$_" } 1 .. 60;
certs($dir,
    'name=ca ca=1 cn=ca',
    'name=other ca=1 cn=other',
    "name=good san=DNS:node.test,$ips issuer=ca eku=server",
    'name=expired san=DNS:node.test issuer=ca eku=server from=-9 to=-1',
    'name=clients ca=1 cn=clients',
    'name=front san=DNS:front.test issuer=clients eku=client',
    'name=stranger san=DNS:front.test issuer=other eku=client',
    'name=old san=DNS:front.test issuer=clients eku=client from=-9 to=-1',
    'name=unnamed san=DNS:elsewhere.test issuer=clients eku=client');

my %secret = (user => 'Wq7-right', wrong => 'Wq7-wrong', few => 'Wq7-few',
    token => 'Wq7token-right', wrong_token => 'Wq7token-wrong');
my @never = (values %secret, map { encode_base64($_, '') }
    "front:$secret{user}", "front:$secret{wrong}", "few:$secret{few}");

sub put {
    my ($name, $text) = @_;

    spew("$dir/$name", $text);
    chmod 0600, "$dir/$name";
    return "$dir/$name";
}
my $users = put('users', "front:{PLAIN}$secret{user}\n"
    . "few:{PLAIN}$secret{few}:internalinsert\n");
my $tokens = put('tokens', "$secret{token}\n");

# --- storage nodes ------------------------------------------------------------

# What the addresses of each server are like; the first is for this test.
my $cert = sub { "    cert: $dir/$_[0].pem\n    key: $dir/$_[0].key\n" };
my %listeners = (
    plain => '',
    good => $cert->('good'),
    expired => $cert->('expired'),
    mtls => $cert->('good') . "    mtls_ca: $dir/clients.pem\n",
    named => $cert->('good') . "    mtls_ca: $dir/clients.pem\n"
        . "    mtls_names: [front.test]\n",
    noinsert => "    disable: internalinsert\n",
    noselect => "    disable: [internalselect]\n",
);
my %servers = (
    open => [[qw(plain good expired mtls named noinsert noselect)], ''],
    users => [[qw(plain good)], "auth.users_file: $users\n"],
    tokens => [[qw(plain good)], "auth.tokens_file: $tokens\n"],
    both => [[qw(plain good)],
        "auth: {users_file: $users, tokens_file: $tokens}\n"],
    closed => [[qw(plain)], "internal_insert.disable: true\n"],
    dumb => [[qw(plain)], "internal_select.disable: true\n"],
);
my (%store, %port);

for my $name (sort keys %servers) {
    my ($kinds, $more) = @{$servers{$name}};
    my $own = free_port();
    my $yaml = "http.listen:\n  - address: 127.0.0.1:$own\n";

    for my $kind (@$kinds) {
        $port{"$name $kind"} = free_port();
        $yaml .= "  - address: \":$port{\"$name $kind\"}\"\n$listeners{$kind}";
    }
    $store{$name} = Test::Spoor->new(port => $own, yaml => $yaml
        . "workers: 1\nstorage.path: $dir/data-$name\n$more")->start;
}

# An answer of a store as somebody who may.
sub ask_store {
    my ($name, $method, $path, $body, %headers) = @_;

    $headers{Authorization} = $name eq 'users'
        ? 'Basic ' . encode_base64("front:$secret{user}", '')
        : "Bearer $secret{token}" if $name =~ /users|tokens|both/;
    return $store{$name}->request($method, $path, body => $body,
        headers => \%headers);
}

for my $name (sort keys %store) {
    is ask_store($name, 'POST', '/v1/traces', otlp_json(
        otlp_span(name => "seed-$name")), otlp_type('json'))->{status}, 200,
        "a span of the storage node $name";
}

# --- what is tried ------------------------------------------------------------

# [server, listener, what of storage_nodes, why no insert, why no query]; the
# reasons are patterns, undef: it is accepted.
my @tries;
my @verified = (tls => 'on', tls_ca_file => "$dir/ca.pem");

sub try_it {
    my ($name, $server, $kind, $node, $insert, $select) = @_;

    push @tries, { id => sprintf('try-%03d', 1 + @tries), name => $name,
        server => $server, kind => $kind, node => $node, insert => $insert,
        select => @_ > 5 ? $select : $insert };
    return;
}

# TLS on or off, whose certificate, with which name.
my %ca = (right => "$dir/ca.pem", wrong => "$dir/other.pem", none => undef);
my %name = (right => 'node.test', wrong => 'wrong.test', none => undef);
my $no_trust = qr/TLS with .*: certificate verify failed/;
for my $kind (qw(plain good expired)) {
    try_it("TLS off", 'open', $kind, {}, $kind eq 'plain' ? undef
        : qr/closed|reset|malformed reply|broken|400/i);
    for my $ca (sort keys %ca) {
        for my $host (sort keys %name) {
            my $is_good = $kind eq 'good' && $ca eq 'right' &&
                $host ne 'wrong';

            try_it("TLS, CA $ca, name $host", 'open', $kind, {
                tls => 'on', $ca{$ca} ? (tls_ca_file => $ca{$ca}) : (),
                $name{$host} ? (tls_server_name => $name{$host}) : () },
                $is_good ? undef : $kind eq 'plain'
                ? qr/TLS with .*(?:wrong version number|protocol)/
                : $no_trust);
        }
    }
    try_it('TLS, not verified', 'open', $kind, {
        tls_insecure_skip_verify => 'on' }, $kind eq 'plain'
        ? qr/TLS with .*(?:wrong version number|protocol)/ : undef);
}

# Certificates of clients.
for my $kind (qw(good mtls named)) {
    for my $client ('none', qw(front unnamed stranger old)) {
        my $is_good = $kind eq 'good' || $client eq 'front' ||
            ($client eq 'unnamed' && $kind eq 'mtls');

        try_it("client certificate $client", 'open', $kind, { @verified,
            tls_server_name => 'node.test', $client eq 'none' ? ()
            : (tls_cert_file => "$dir/$client.pem",
                tls_key_file => "$dir/$client.key") },
            $is_good ? undef : qr/TLS with .* is refused: /);
    }
}

# Users and tokens.
my %who = (
    none => {},
    'user right' => { username => 'front', password => $secret{user} },
    'user wrong' => { username => 'front', password => $secret{wrong} },
    'user unknown' => { username => 'who', password => $secret{user} },
    'user of a few' => { username => 'few', password => $secret{few} },
    'token right' => { bearer_token => $secret{token} },
    'token wrong' => { bearer_token => $secret{wrong_token} },
);
for my $server (qw(open users tokens both)) {
    for my $kind (qw(plain good)) {
        for my $who (sort keys %who) {
            my $of_user = $server =~ /users|both/;
            my $is_few = $of_user && $who eq 'user of a few';
            my $is_good = $server eq 'open' || $is_few ||
                ($of_user && $who eq 'user right') ||
                ($server =~ /tokens|both/ && $who eq 'token right');

            try_it($who, $server, $kind, { %{$who{$who}},
                $kind eq 'good' ? (@verified, tls_server_name => 'node.test')
                : () }, $is_good ? undef : qr/\b401\b/,
                $is_few ? qr/\b403\b/ : $is_good ? undef : qr/\b401\b/);
        }
    }
}

# Closed groups, of a server and of an address.
try_it('no internal inserts', 'closed', 'plain', {}, qr/\b403\b/, undef);
try_it('no internal selects', 'dumb', 'plain', {}, undef, qr/\b403\b/);
try_it('none at this address', 'open', 'noinsert', {}, qr/\b403\b/, undef);
try_it('no selects at this address', 'open', 'noselect', {}, undef,
    qr/\b403\b/);

# --- one after the other ------------------------------------------------------

# The queue would take what nodes refuse.
my $front_port = free_port();
my $front = Test::Spoor->new(port => $front_port, yaml =>
    yaml_of("127.0.0.1:1", {}));
my $nspans = 8;
my (%seen, @table);

sub yaml_of {
    my ($address, $node) = @_;

    return "http.listen: 127.0.0.1:$front_port\nworkers: 1\n"
        . "storage.path: $dir/data\ncluster.queue_max_bytes: 0\n"
        . "storage_nodes:\n  - address: $address\n"
        . join('', map { "    $_: $node->{$_}\n" } sort keys %$node);
}

# Traces of two spans each.
sub spans {
    my ($name) = @_;
    my @spans = map { otlp_span(name => $name) } 1 .. $nspans;

    $spans[$_]{traceId} = $spans[$_ - 1]{traceId}
        for grep { $_ % 2 } 1 .. $nspans - 1;
    return otlp_json(@spans);
}

sub names_no_secret {
    my ($text, $what) = @_;
    my @shown = grep { index($text, $_) >= 0 } @never;

    is "@shown", '', "no secret in $what" or diag $text;
    return;
}

# What came, as a row of the table, against what was expected.
sub check {
    my ($what, $reply, $status, $reason, $address) = @_;
    my $name = "$what->{server} $what->{kind}, $what->{name}";
    my $wanted = $reason ? 'refused' : 'accepted';
    my $got = $reply->{status} == 200 ? 'accepted'
        : $reply->{status} == $status ? 'refused' : $reply->{status};

    is $got, $wanted, "$name: $wanted" or diag $reply->{body};
    if ($reason) {
        like $reply->{body}, qr/\Q$address\E/, 'the answer names the node';
        like $reply->{body}, $reason, 'and says why';
        ok $front->wait_log(qr/^.*\Q$address\E.*$reason/m), 'so does the log'
            or diag $front->log;
    }
    names_no_secret($reply->{body}, 'the answer');
    return $got;
}

$front->start;
for my $try (@tries) {
    my $id = $try->{id};

    # A name of its own, so that no state of another try counts.
    my $address = '127.0.0.' . ++$seen{$try->{kind}} . ':'
        . $port{"$try->{server} $try->{kind}"};
    $front->{yaml} = yaml_of($address, $try->{node});
    $front->write_conf;
    my ($status, $text) = $front->ask('reload');
    is $status, 0, "$id: $try->{name}" or diag $text;

    my $insert = $front->post('/v1/traces', spans($id), { otlp_type('json') });
    my $select = $front->get("/select/logsql/query?query=name:=seed-"
        . "$try->{server}");
    push @table, [$try, check($try, $insert, 503, $try->{insert}, $address),
        check($try, $select, 502, $try->{select}, $address)];
    is $select->{body} =~ /"name":"seed-$try->{server}"/ ? 1 : 0,
        $try->{select} ? 0 : 1, 'what is found';
}

# --- what is stored -----------------------------------------------------------

my %wanted;
$wanted{$_->{server}}{$_->{id}} = $nspans for grep { !$_->{insert} } @tries;
for my $name (sort keys %store) {
    my %rows;

    for (split /\n/, ask_store($name, 'GET',
        '/select/logsql/query?query=*+|+fields+name&limit=100000')->{body}) {
        $rows{$1}++ if /"name":"(try-\d+)"/;
    }
    is_deeply \%rows, $wanted{$name} || {},
        "$name stored what was accepted, whole, and nothing else";
}
names_no_secret($front->log, 'the log of the front');
names_no_secret($_->log, 'the log of a node') for values %store;
names_no_secret($front->get($_)->{body}, $_)
    for qw(/flags /metrics /internal/cluster);

# --- refused, put right -------------------------------------------------------

{
    my $address = "127.0.0.200:$port{'users plain'}";
    my $yaml = sub {
        return yaml_of($address, { username => 'front',
            password => $_[0] }) =~ s/^cluster.queue.*\n//mr;
    };
    $front->{yaml} = $yaml->($secret{wrong});
    $front->write_conf->ask('reload');
    is $front->post('/v1/traces', spans('later'),
        { otlp_type('json') })->{status}, 200,
        'with a queue, refused spans wait';
    ok $front->wait_log(qr/\Q$address\E.*\b401\b/), 'the log says why';
    $front->{yaml} = $yaml->($secret{user});
    $front->write_conf->ask('reload');
    my $stored = sub {
        return ask_store('users', 'GET', '/select/logsql/query?query='
            . 'name:=later+|+fields+name')->{body} =~ s/"later"//gr =~
            tr/\n//;
    };
    ok wait_for(sub { $stored->() >= $nspans }, 30),
        'with the right password they are stored';
    is $stored->(), $nspans, 'once';
    names_no_secret($front->log, 'the log');
}

# --- the table ----------------------------------------------------------------

diag sprintf '%-7s %-9s %-28s %-9s %-9s', qw(node address front insert select);
diag sprintf '%-7s %-9s %-28s %-9s %-9s', @{$_->[0]}{qw(server kind name)},
    @$_[1, 2] for @table;
diag sprintf '%d combinations, each for inserts and queries: %d accepted, '
    . '%d refused', scalar @table, map { my $what = $_;
    scalar grep { $_ eq $what } map { @$_[1, 2] } @table } qw(accepted
    refused);

done_testing;
