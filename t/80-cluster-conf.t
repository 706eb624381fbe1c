#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# storage_nodes: all mistakes of a file in one run, each at its place and with
# what may have been meant; flags by position and maps are the same; -T prints
# what loads to the same; who asks the nodes is shown nowhere.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $dir = tempdir('spoor-nodes-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub spoor {
    my ($words, %option) = @_;

    return run_command([spoor_bin(), '-p', $dir, @$words], %option);
}

sub file {
    my ($text, $name) = @_;

    $name ||= 'x.yaml';
    spew("$dir/$name", $text);
    return ('-c', $name);
}

sub secret {
    my ($name, $text) = @_;

    spew("$dir/$name", $text);
    chmod 0600, "$dir/$name";
    return;
}

# --- mistakes -----------------------------------------------------------------

my $ip = 'must have a host name or an IP address, not';
my $port = 'must have a port of 1..65535, not';
my $item = 'must have one node in each item, not';
my @addresses = (
    ['http://a:1/', 'must be host:port and no URL: "a:1" is meant?'],
    ['https://a:1', 'must be host:port and no URL: "a:1" is meant, with'
        . ' "tls: true"?'],
    ['a:1/insert', 'must be host:port and no URL: "a:1" is meant?'],
    ['u:Wq7word@h:1', 'must not have a user in it: "username" and "password"'
        . ' say who asks'],
    ['unix:/run/x', 'must be host:port: nodes are not asked by unix sockets'],
    ['x:99999', "$port \"99999\""],
    ['x:0', "$port \"0\""],
    ['x:', "$port \"\""],
    ['x:http', "$port \"http\""],
    ['[::1]:1x', "$port \"1x\""],
    ['::1', 'must have [] around an IPv6 address: "[::1]:10428" is meant?'],
    ['[::1', 'must have an IPv6 address in [], not "[::1"'],
    ['[a]:1', 'must have an IPv6 address in [], not "[a]:1"'],
    ['[10.0.0.1]:1', 'must have an IPv6 address in [], not "[10.0.0.1]:1"'],
    ['[::1]x:1', 'must have only :port behind ], not "[::1]x:1"'],
    ['dsn+a', 'knows dns+ and srv+, not "dsn+": "dns+a" is meant?'],
    ['dnssrv+_a._tcp.b', 'knows dns+ and srv+, not "dnssrv+":'
        . ' "srv+_a._tcp.b" is meant?'],
    ['quic+a', 'knows dns+ and srv+, not "quic+"'],
    ['srv+a.b:10', 'must have no port behind srv+: its records have it;'
        . ' "srv+a.b" is meant?'],
    ['dns+10.0.0.1', 'looks up names: "10.0.0.1" is an address'],
    ['dns+', 'needs a host: write "host:port"'],
    [':1', 'needs a host: write "host:port"'],
    ['a:1,b:2', "$item \"a:1,b:2\""],
    ['a b', "$item \"a b\""],
    ['', 'must not have an empty address'],
    ['10.0.0.256', "$ip \"10.0.0.256\""],
    ['a..b', "$ip \"a..b\""],
    ['a*', "$ip \"a*\""],
    ['localhost:10999', 'has localhost:10999, which is this server itself'
        . ' (it listens on :10999)'],
    ['[::1]:10998', 'has [::1]:10998, which is this server itself'
        . ' (it listens on [::1]:10998)'],
    ['10.1.2.3:10997', 'has 10.1.2.3:10997, which is this server itself'
        . ' (it listens on 10.1.2.3:10997)'],
    ['ok', undef],
    ['ok', 'has ok twice (item 32)'],
    ['OK.:10428', 'has OK.:10428 twice, first as "ok" (item 32)'],
    ['dns+ok', undef],
);
my @maps = (
    ['password: Wq7word', 18, 'password', 'needs a user: "username",'
        . ' -storageNode.username'],
    ['username: u, username_file: u', 36, 'username_file',
        'excludes "username"'],
    ['username: u, bearer_token: Wq7word', 35, 'bearer_token', 'excludes'
        . ' "username": a node is asked with a token or as a user'],
    ['username: "a:b"', 18, 'username', "must not have a ':' or control"
        . ' characters'],
    ['bearer_token: "Wq7 word"', 22, 'bearer_token', 'must not have spaces or'
        . ' control characters'],
    ['username: u, password: "Wq7\tword"', 31, 'password', 'must not have any'
        . ' control characters'],
    ['username: u, password: "file:gone"', 31, 'password', 'cannot be read:'
        . " $dir/gone: No such file or directory"],
    ['bearer_token_file: gone', 27, 'bearer_token_file', 'cannot be read:'
        . " $dir/gone: No such file or directory"],
    ['bearer_token_file: empty', 27, 'bearer_token_file', 'cannot be read:'
        . " $dir/empty: is empty"],
    ['tls: no, tls_ca_file: c.pem', 30, 'tls_ca_file', 'needs TLS, but "tls"'
        . ' is false'],
    ['tls_key_file: gone.key', 22, 'tls_key_file', 'needs the certificate that'
        . ' it belongs to: "tls_cert_file", -storageNode.tlsCertFile'],
    ['tls_server_name: "a:1"', 25, 'tls_server_name', 'must be a host name'
        . ' without a port, not "a:1"'],
);
secret('empty', " \n");
secret('u', "u\n");
my ($text, $line, @want) = ("http.listen: [':10999', '[::1]:10998',"
    . " '10.1.2.3:10997']\nstorage_nodes:\n", 2);
for (@addresses) {
    my ($address, $message) = @$_;

    $text .= "  - \"$address\"\n";
    $line++;
    push @want, "$line:5: error: \"storage_nodes\" $message"
        if defined $message;
}
for my $n (0 .. $#maps) {
    my ($map, $column, $leaf, $message) = @{$maps[$n]};
    my $of = $message =~ /^(?:cannot|must not)/ ? '' : "of n$n:1 ";

    $text .= "  - {address: \"n$n:1\", $map}\n";
    $line++;
    $column += length "  - {address: \"n$n:1\", " ;
    $column -= 7;
    push @want, "$line:$column: error: \"storage_nodes.$leaf\" $of$message";
}
my $got = spoor(['-t', file($text)]);
is $got->{status}, 1, 'a file of mistakes';
unlike "$got->{err}$got->{out}", qr/Wq7/, 'no secret is shown';
my %said = map { $_ => 1 }
    map { s/^\S*x\.yaml://r } grep { /: error: / } split /\n/, $got->{err};
ok delete $said{$_}, $_ for @want;
is_deeply [grep { !/_file" cannot be used/ } sort keys %said], [],
    'and nothing else but files that are not there';
like $got->{err}, qr/x\.yaml: \d+ errors, configuration not used$/m,
    'their number';

# --- one at a time ------------------------------------------------------------

sub first_of {
    my ($words) = @_;

    return ((split /\n/, spoor(['-t', @$words])->{err})[0] // '')
        =~ s/^\S*x\.yaml/F/r;
}
my $long = join ',', map { "n$_" } 1 .. 257;
is first_of(["-storageNode=$long"]), '-storageNode: "storage_nodes" has 257'
    . ' nodes, at most 256 can be', 'too many';
is first_of(['-storageNode=a,b,c', '-storageNode.username=u,v,w,x']),
    '-storageNode.username: warning: "storage_nodes.username" has 4 values'
    . ' for 3 addresses', 'too many users';
is first_of(['-storageNode.tls']), '-storageNode.tls: warning:'
    . ' "storage_nodes.tls" has no effect: there are no storage nodes'
    . ' ("storage_nodes", -storageNode)', 'TLS to nobody';
is first_of([file("storage_nodes:\n  - addres: a\n")]), 'F:2:5: error: unknown'
    . ' directive "addres" in "storage_nodes" (did you mean "address"?)',
    'a word of a map';
is first_of([file("storage_nodes:\n  - {address: a, tls_ca: x}\n")]),
    'F:2:18: error: unknown directive "tls_ca" in "storage_nodes" (did you'
    . ' mean "tls_ca_file"?)', 'another one';
is first_of([file("storage_node: [a]\n")]), 'F:1:1: error: unknown directive'
    . ' "storage_node" (did you mean "storage_nodes"?)', 'the list itself';
is first_of([file("storageNode: [a]\n")]), 'F:1:1: error: unknown directive'
    . ' "storageNode" (did you mean "storage_nodes"?)', 'or as the flag';
is first_of(['-storageNode=a', '-storageNode.tls',
    '-storageNode.tlsCAFile=gone.pem']), '-storageNode.tlsCAFile:'
    . " \"storage_nodes.tls_ca_file\" cannot be used: $dir/gone.pem: No such"
    . " file or directory (running as uid $>)", 'an authority that is not there';
like first_of(['-storageNode=a.test', '-storageNode.username=u',
    '-storageNode.passwordFile=u']), qr/^-storageNode:\ warning:
    \ "storage_nodes"\ sends\ the\ credentials\ of\ a\.test\ in\ clear/x,
    'a password in clear text';
is first_of(['-storageNode=localhost:1', '-storageNode.username=u',
    '-storageNode.passwordFile=u']), '', 'but not to itself';
chmod 0644, "$dir/u";
like first_of(['-storageNode=localhost:1', '-storageNode.username=u',
    '-storageNode.passwordFile=u']), qr/passwordFile:\ warning:\ \S+
    \ is\ in\ \S+\/u,\ which\ everybody\ may\ read\ \(mode\ 644\)$/x,
    'a password that everybody may read';
chmod 0600, "$dir/u";

# --- the same by file and flags -----------------------------------------------

# Of -T, without comments.
sub values_of {
    my ($words) = @_;
    my $result = spoor(['-T', @$words]);

    return "status $result->{status}: $result->{err}"
        if $result->{status} != 0;
    return $result->{out} =~ /^(storage_nodes:.*?)^\w/ms
        ? $1 =~ s/  #.*//mgr =~ s/\Q$dir\E\///gr : $result->{out};
}

secret('pw', "Wq7pw\n");
secret('tok', "Wq7tok\n");
my $maps = <<'END';
storage_nodes:
    - address: "a:1"
      tls: true
      tls_ca_file: ca.pem
      tls_server_name: one
      username: u
      password: "file:pw"
    - address: "b:2"
      tls: true
      tls_ca_file: ca.pem
      tls_cert_file: c.pem
      tls_key_file: c.key
      bearer_token_file: tok
    - address: "dns+c:3"
      tls: false
    - address: "srv+_s._tcp.d"
      tls: true
      tls_ca_file: ca.pem
      tls_insecure_skip_verify: false
      username_file: u
      password_file: pw
END
my @flags = ('-storageNode=a:1,b:2', '-storageNode', 'dns+c:3',
    '-storageNode=srv+_s._tcp.d', '-storageNode.tls=true,true,false,true',
    '-storageNode.tlsCAFile=ca.pem,ca.pem,,ca.pem',
    '-storageNode.tlsCertFile=,c.pem,,', '-storageNode.tlsKeyFile=,c.key,,',
    '-storageNode.tlsServerName=one,,,', '-storageNode.username=u,,,',
    '-storageNode.password=file:pw,,,', '-storageNode.bearerTokenFile=,tok,,',
    '-storageNode.usernameFile=,,,u', '-storageNode.passwordFile=,,,pw',
    '-storageNode.tlsInsecureSkipVerify=,,,false');
is values_of([file($maps)]), $maps, 'maps';
is values_of(\@flags), $maps, 'flags by position';
is values_of(['-storageNode=a,b', '-storageNode.tls',
    '-storageNode.username=u']), <<'END', 'a single value is for all';
storage_nodes:
    - address: a
      tls: true
      username: u
    - address: b
      tls: true
      username: u
END
is values_of(['-storageNode=a,b', '-storageNode.tls=true,false',
    '-storageNode.tlsCAFile=ca.pem']) =~ s/.*?(?=    - address: b)//sr,
    "    - address: b\n      tls: false\n      tls_ca_file: ca.pem\n",
    'one for all is no mistake where TLS is off';
is values_of([file("storage_nodes: [a, 'b:1']\n")]),
    qq(storage_nodes: [a, "b:1"]\n), 'texts';
is values_of([file($maps), '-storageNode=x']), "storage_nodes: [x]\n",
    'flags take nothing of the nodes of the file';
file(spoor(['-T', file($maps)])->{out}, 'y.yaml');
is values_of(['-c', 'y.yaml']), $maps, '-T loads to the same';

# A password that was not in a file is nobody's to see.
$got = spoor(['-T', '-storageNode=a:1,b:2', '-storageNode.username=u',
    '-storageNode.password=Wq7one,file:pw']);
unlike "$got->{out}$got->{err}", qr/Wq7/, '-T shows no password';
like $got->{out}, qr/password:\ "\$\{STORAGE_NODES_PASSWORD\}".*
    password:\ "file:pw"/xs, 'but where there is one';
is scalar(() = $got->{err} =~ /is a secret on the command line/g), 1,
    'one warning';
my $y = $got->{out};
is spoor(['-T', file($y, 'y.yaml')])->{status}, 1, 'without it -T is no file';
is spoor(['-T', file($y, 'y.yaml')],
    env => { STORAGE_NODES_PASSWORD => 'x' })->{status}, 0, 'with it, it is';

done_testing();
