#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# The examples of a cluster: each configuration of contrib/cluster/ and each
# block of docs/cluster.md passes "spoor -t", and together they are a cluster
# that takes spans and finds them; the commands of compose.yaml are
# servers; the unit is spoor.service but for its names; all agree with each
# other.

use strict;
use warnings;

use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $root = spoor_root();
my $objdir = $ENV{SPOOR_OBJDIR} || "$root/objs";
my $dir = tempdir('spoor-contrib-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# --- files that the configurations name ---------------------------------------

is run_command(["$objdir/t/helper/make_certs", $dir],
    stdin => join '', "name=nodes-ca ca=1 cn=nodes\n",
        "name=fronts-ca ca=1 cn=fronts\n",
        map { "name=$_ san=DNS:$_.example.org issuer=nodes-ca\n" }
        qw(a front storage-1 storage-2))->{status}, 0,
    'certificates are made';
for (glob "$dir/*.pem") {
    rename $_, s/\.pem$/.crt/r;
}
spew("$dir/storage.users",
    "front:{PLAIN}secret:internalinsert,internalselect\nops:{PLAIN}more:*\n");
spew("$dir/$_", "secret\n") for qw(front.password b.token);
chmod 0600, map { "$dir/$_" } qw(storage.users front.password b.token);

# With the paths of this test.
sub here {
    my ($text, $name) = @_;

    $text =~ s{/etc/spoor}{$dir}g;
    $text =~ s{/var/lib/spoor}{$dir/data}g;
    spew("$dir/$name", $text);
    return $name;
}

# Addresses that are in use are no mistake of the file.
sub test_of {
    my ($name, @words) = @_;

    return run_command([spoor_bin(), '-p', $dir, '-t', '-c', $name, @words]);
}

# --- contrib/cluster ----------------------------------------------------------

my %port;
for my $name (qw(storage-1 storage-2 insert select)) {
    my $file = here(slurp("$root/contrib/cluster/$name.yaml"), "$name.yaml");
    my $got = test_of($file);

    is $got->{status}, 0, "$name.yaml";
    is $got->{err}, '', "$name.yaml: no warning";
    # What is commented out is good, too.
    my $more = slurp("$dir/$file");
    if ($more =~ s/^( +)#(\w)/$1$2/mg) {
        $got = test_of(here($more, "more.yaml"));
        is "$got->{status}$got->{err}", '0', "$name.yaml with TLS";
    }
    ($port{$name}) = slurp("$dir/$file") =~ /":(\d+)"/;
}
for my $name (qw(insert select)) {
    is_deeply [slurp("$dir/$name.yaml") =~ /address: 127\.0\.0\.1:(\d+)/g],
        [@port{qw(storage-1 storage-2)}], "$name.yaml lists the nodes";
}

# --- the four as a cluster ----------------------------------------------------

# At other ports.
my %live = map { $_ => free_port() } values %port;
my %server;
for my $name (qw(storage-1 storage-2 insert select)) {
    my $text = slurp("$dir/$name.yaml");

    $text =~ s/\b(104\d\d)\b/$live{$1}/g;
    $text =~ s/":4317"/"127.0.0.1:0"/;
    $server{$name} = Test::Spoor->new(port => $live{$port{$name}});
    $text =~ s{^    path: .*}{'    path: ' . $server{$name}->data_dir}me;
    $server{$name}{yaml} = $text;
    $server{$name}->write_conf;
    $server{$name}->start;
}
my $json = '{"resourceSpans":[{"scopeSpans":[{"spans":[' . join(',', map {
    sprintf '{"traceId":"%032x","spanId":"%016x","name":"n","startTimeUnixNano"'
        . ':"%d000000000","endTimeUnixNano":"%d000000000"}', $_, $_, time, time
} 1 .. 50) . ']}]}]}';
is $server{insert}->post('/v1/traces', $json,
    { 'Content-Type' => 'application/json' })->{status}, 200, 'spans go in';
is $server{select}->post('/v1/traces', $json,
    { 'Content-Type' => 'application/json' })->{status}, 403,
    'but not at the select node';
my $count = '/select/logsql/query?query=*%20%7C%20count()%20n';
like $server{select}->get($count)->{body}, qr/"n":"50"/, 'and come out';
is $server{insert}->get($count)->{status}, 403, 'but not at the insert node';
is $server{'storage-1'}->get($count)->{status}, 401,
    'a storage node asks who it is';
my $basic = sub { { Authorization => 'Basic ' . encode_base64($_[0], '') } };
is $server{'storage-1'}->get($count, $basic->('front:secret'))->{status}, 403,
    'a front may not ask as people do';
my @n = map { $server{$_}->get($count, $basic->('ops:more'))->{body}
    =~ /"n":"(\d+)"/ ? $1 : 0 } qw(storage-1 storage-2);
is $n[0] + $n[1], 50, 'spans are on the nodes';
ok $n[0] > 0 && $n[1] > 0, 'on both';
$server{$_}->stop for qw(insert select storage-1 storage-2);

# --- the unit -----------------------------------------------------------------

sub unit {
    my ($file) = @_;

    return grep { /^[^#]/ } split /\n/, slurp("$root/contrib/$file");
}
my @one = map { s{spoor/spoor\.yaml}{spoor/%i.yaml}r
    =~ s{^(StateDirectory=spoor|ReadWritePaths=.*)$}{$1/%i}r
    =~ s{^Description=.*}{Description=spoor, %i}r } unit('systemd/spoor.service');
is_deeply [unit('cluster/spoor@.service')], \@one,
    'spoor@.service is spoor.service but for names';

# --- compose ------------------------------------------------------------------

my %service;
my $name;
for (split /\n/, slurp("$root/contrib/cluster/compose.yaml") =~ s/^volumes:.*//msr) {
    $name = $1 if /^  ([\w-]+):/;
    push @{$service{$name}}, $1 if /^      - (-\w.*)$/;
}
# YAML's <<: *storage.
$service{'storage-2'} = $service{'storage-1'};
is join(' ', sort keys %service), 'insert select storage-1 storage-2 vmauth',
    'services';
delete $service{vmauth};
for my $name (sort keys %service) {
    my @words = map { s{/var/lib/spoor}{$dir/data/$name}r } @{$service{$name}};
    my $got = run_command([spoor_bin(), '-p', $dir, '-t', @words]);

    is "$got->{status}$got->{err}", '0', "$name of compose.yaml";
}
my ($vmauth) = slurp("$root/contrib/cluster/vmauth.yml");
for ($vmauth =~ m{"http://([\w-]+:\d+)/"}g) {
    my ($name, $port) = split /:/;

    ok scalar(grep { $_ eq "-httpListenAddr=:$port" } @{$service{$name}}),
        "vmauth.yml: $_ is a service";
}
my ($nodes) = map { /^-storageNode=(.*)/ } @{$service{insert}};
for (split /,/, $nodes) {
    my ($name, $port) = split /:/;

    ok scalar(grep { $_ eq "-httpListenAddr=:$port" } @{$service{$name}}),
        "$_ is a service";
}

# --- docs/cluster.md ----------------------------------------------------------

my $n = 0;
my $doc = slurp("$root/docs/cluster.md");
while ($doc =~ /^```yaml\n(.*?)^```$/msg) {
    my $got = test_of(here($1, 'block.yaml'), "-storageDataPath=$dir/data");

    $n++;
    is $got->{status}, 0, "block $n of cluster.md";
    diag $got->{err} if $got->{status};
}
is $n, 3, 'blocks';
# What it names exists.
my $conf = slurp("$root/docs/configuration.md");
my $metrics = slurp("$root/docs/metrics.md");
my $flags = slurp("$root/docs/flags.md");
for ($doc =~ /`((?:cluster|insert|select|search|internal_\w+|storage)\.[a-z_]+)`/g) {
    like $conf, qr/`\Q$_\E`/, "directive $_" unless $_ eq 'storage.users';
}
like $metrics, qr/`\Q$_\E`/, "metric $_"
    for $doc =~ /`((?:spoor|vt)_[a-z_]+)/g;
like $flags, qr/`\Q$_\E`/, "flag $_" for $doc =~ /`(-[a-z]+(?:\.\w+)*)[=`]/g;

done_testing();
