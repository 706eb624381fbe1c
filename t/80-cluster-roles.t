#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# A front: its processes, its data directory, what it says of stored data; a
# list of nodes that reloads; front and store do not change into each other
# without a restart, and then say what is left in the directory.

use strict;
use warnings;

use FindBin qw($Bin);
use IO::Select;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;
use Time::HiRes qw(sleep);

my $front;
my @nodes = map { '127.0.0.1:' . free_port() } 1 .. 2;

sub names_in {
    my ($dir) = @_;

    opendir my $handle, $dir or return "$dir: $!";
    my @names = sort grep { !/^\.\.?$/ } readdir $handle;
    closedir $handle;
    return "@names";
}

# Old workers take a moment to end.
sub is_processes {
    my ($want, $name) = @_;
    my $got;

    wait_for(sub {
        my $pids = $front->pids;

        $got = join ' ', map { "$_:" . @{$pids->{$_}} } sort keys %$pids;
        return $got eq $want;
    }, 10);
    is $got, $want, $name;
    return;
}

$front = Test::Spoor->new(conf => {
    workers => 2, storage_nodes => \@nodes,
    'storage.min_free_disk' => '100TB',
    'storage.retention_max_percent' => 1,
});
$front->start;
ok $front->wait_log(qr{ready: 2 workers}), "a front";

# --- processes and files ------------------------------------------------------

is_processes('master:1 worker:2', 'a front has workers only');
is names_in($front->data_dir), 'LOCK queue spoor.pid spoor.pid.sock',
    'and of files what it needs';
like $front->log, qr/ is a front: .*; storage nodes: \Q$nodes[0], $nodes[1]\E$/m,
    'the log names its nodes';
my $second = run_command([spoor_bin(), '-c', $front->conf_file, '-t']);
is $second->{status}, 0, '-t while it runs';

# --- pages --------------------------------------------------------------------

is $front->get('/health')->{body}, 'OK', '/health';
is $front->get('/-/healthy')->{status}, 200, '/-/healthy';
is $front->get('/-/ready')->{status}, 200,
    '/-/ready: what comes in waits in the queue';
my $metrics = $front->get('/metrics');
is $metrics->{status}, 200, '/metrics';
unlike $metrics->{body}, qr/^vt_storage_is_read_only/m,
    'no free space is asked for';
is_deeply [$metrics->{body} =~ /^vt_(?:partitions|storage_rows\S*) (.*)$/mg],
    [0, 0, 0, 0], 'and nothing is stored';
for (qw(force_flush force_merge log_new_streams?seconds=1 partition/list
    partition/attach?name=20260101 partition/detach?name=20260101
    partition/snapshot/create partition/snapshot/list
    partition/snapshot/delete?path=x partition/snapshot/delete_stale)) {
    my $got = $front->post("/internal/$_", '');

    is "$got->{status} $got->{body}", "400 this server is a front: it stores"
        . ' nothing itself; send the request to each of its storage nodes'
        . " ($nodes[0], $nodes[1])\n", "/internal/$_";
}

# --- ends ---------------------------------------------------------------------

my ($victim) = @{$front->pids->{worker}};
kill 'KILL', $victim;
ok $front->wait_log(qr/\($victim\) ended on signal 9/), 'a worker is killed';
is_processes('master:1 worker:2', 'another one comes, nothing is recovered');
unlike $front->log, qr/recover/, 'nor was anything at the start';
my ($status, $text) = $front->upgrade;
is $status, 0, 'an upgrade';
diag $text if $status;
is_processes('master:1 worker:2', 'a front again');

# --- reloads ------------------------------------------------------------------

sub reload_with {
    my ($text) = @_;

    $front->{yaml} = "http.listen: '127.0.0.1:" . $front->port
        . "'\nstorage.path: " . $front->data_dir . "\nworkers: 2\n$text\n";
    $front->write_conf;
    return join '|', $front->ask('reload');
}

sub flag {
    return $front->get('/flags')->{body} =~ /^-storageNode="(.*)"$/m ? $1 : '';
}

like reload_with("storage_nodes: ['$nodes[1]', 'localhost:1']"),
    qr/^0\|reload: done/, 'another list';
is flag(), "$nodes[1],localhost:1", 'which is in use';
like reload_with("storage_nodes: ['$nodes[1]', 'loc:0']"), qr/1..65535/,
    'a mistake';
is flag(), "$nodes[1],localhost:1", 'the old list stays';
like reload_with("storage_nodes: [{address: '$nodes[1]', tls: on, tls_ca_file:"
    . " $Bin/80-cluster-roles.t}]"), qr/^1\|.*\Q$nodes[1]\E.*roles\.t/s,
    'a file of authorities that is none';
is flag(), "$nodes[1],localhost:1", 'the old list stays';
like reload_with(''), qr/storage_nodes:\ without\ any,\ a\ front\ becomes
    \ a\ server\ that\ stores;\ this\ needs\ a\ restart/x,
    'a front becomes no store';
is flag(), "$nodes[1],localhost:1", 'its list stays, on /flags, too';
is_processes('master:1 worker:2', 'nor has it its processes');
like $front->post('/internal/force_flush', '')->{body}, qr/front/,
    'it still is a front';

# --- the other way ------------------------------------------------------------

$front->stop;
is names_in($front->data_dir), 'LOCK queue', 'at the end';
spew($front->data_dir . '/queue/spans', 'x');
$front->start;
like $front->log, qr/\/queue\ has\ spans\ of\ a\ front\ that\ no\ storage
    \ node\ has\ got\ yet/x, 'a store says that something waits in its queue';
like reload_with("storage_nodes: [a]"), qr/a\ server\ that\ stores\ becomes
    \ a\ front\ of\ others\ at\ a\ restart/x, 'it becomes no front';
is scalar(@{$front->pids->{merge}}), 1, 'and merges';
$front->stop;
unlink $front->data_dir . '/queue/spans';
mkdir $front->data_dir . '/partitions/20260101';
$front->start;
like $front->log, qr/has\ spans\ of\ a\ server\ without\ storage_nodes/x,
    'a front says that spans are stored in its directory';
$front->stop;
ok -d $front->data_dir . '/partitions/20260101', 'and leaves them there';

# --- secrets ------------------------------------------------------------------

spew($front->dir . '/token', "Wq7token\n");
chmod 0600, $front->dir . '/token';
my $secret = Test::Spoor->new(args => ['-storageNode=localhost:9,localhost:8',
    '-storageNode.username=u', '-storageNode.password=Wq7flag,Wq7word',
    '-loggerLevel=DEBUG']);
$secret->{yaml} = slurp($secret->conf_file)
    . "storage_nodes: [{address: 'a', username: u, password: Wq7file}]\n";
$secret->write_conf;
$secret->start;
my $seen = join '', $secret->log, map { $secret->get($_)->{body} }
    qw(/flags /metrics);
my $pid = $secret->pid;
$seen .= slurp("/proc/$_/cmdline") for $pid,
    map { @$_ } values %{$secret->pids};
unlike $seen, qr/Wq7/, 'passwords are shown nowhere';
like $seen, qr/-storageNode\.password="secret,secret"/, 'that there is one is';
$secret->stop;

# The file of a token is read again when it changes.
my $watch = Test::Spoor->new(conf => { workers => 1, storage_nodes => 'a' },
    args => ['-storageNode.bearerTokenFile=' . $front->dir . '/token']);
$watch->start;
spew($front->dir . '/token', "Wq7other\n");
ok $watch->wait_log(qr/token has changed/), 'a token that changes';
ok $watch->wait_log(qr/reload: done/), 'is read again';
unlike $watch->log, qr/Wq7/, 'and not logged';
$watch->stop;

# --- files of root --------------------------------------------------------------

SKIP: {
    skip 'only root can give rights away', 4 if $> != 0;
    my $dir = $front->dir;
    my $port = $nodes[1] =~ s/.*://r;

    is run_command([($ENV{SPOOR_OBJDIR} || "$Bin/../objs")
        . '/t/helper/make_certs', $dir], stdin => "name=ca ca=1 cn=ca\n"
        . "name=node san=IP:127.0.0.1 issuer=ca\n"
        . "name=front cn=front issuer=ca eku=client\n")->{status}, 0, 'certificates';
    my $node = Test::Spoor->new(port => $port);
    $node->{yaml} = "http.listen: [{address: '127.0.0.1:$port',"
        . " cert: $dir/node.pem, key: $dir/node.key, mtls_ca: $dir/ca.pem}]\n"
        . 'storage.path: ' . $node->data_dir . "\n";
    $node->write_conf;
    $node->start_nowait;
    my $own = Test::Spoor->new(conf => { user => 'nobody',
        'cluster.probe_interval' => '100ms' },
        args => ["-storageNode=127.0.0.1:$port", '-storageNode.tls',
        "-storageNode.tlsCAFile=$dir/ca.pem",
        "-storageNode.tlsCertFile=$dir/front.pem",
        "-storageNode.tlsKeyFile=$dir/front.key"]);
    chmod 0755, $own->dir;
    chmod 0600, glob "$dir/*.pem $dir/*.key";
    chmod 0700, $dir;
    $own->start;
    my ($uid) = slurp('/proc/' . $own->pids->{worker}[0] . '/status')
        =~ /^Uid:\s+(\d+)/m;
    is $uid, scalar(getpwnam 'nobody'), 'a worker without rights';
    ok wait_for(sub {
        return $own->get('/internal/cluster')->{body} =~ /"state":"up"/;
    }, 10), 'shows a certificate that only root may read';
    is +(stat $own->data_dir . '/queue')[4], $uid, 'and owns its queue';
    $_->stop for $own, $node;
}

# --- what systemd hears -------------------------------------------------------

my $path = $secret->dir . '/notify';
my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path)
    or die "$path: $!";
my $told = Test::Spoor->new(conf => { storage_nodes => \@nodes },
    env => { NOTIFY_SOCKET => $path });
$told->start;
my $said = '';
while ($said !~ /^READY=1/ && IO::Select->new($notify)->can_read(10)) {
    recv $notify, $said, 4096, 0;
}
like $said, qr/STATUS=ready: 2 workers, .*, front of 2 storage nodes$/m,
    'the line of status';
$told->stop;

# --- of use or not ------------------------------------------------------------

sub ready {
    my ($what, $want, %conf) = @_;
    my $server = Test::Spoor->new(conf => { workers => 1,
        storage_nodes => \@nodes, 'cluster.probe_interval' => '100ms',
        %conf });

    $server->start;
    ok wait_for(sub {
        my $got = $server->get('/-/ready');

        return "$got->{status} $got->{body}" eq $want;
    }, 10), $what;
    is $server->get('/health')->{status}, 200, 'but it is well';
    return $server;
}
ready('an insert node without nodes and a queue',
    "503 no storage node takes spans\n",
    'cluster.queue_max_bytes' => 0)->stop;
my $select = ready('a select node without nodes',
    "503 no storage node can be reached\n", 'insert.disable' => 'true');
my $node = Test::Spoor->new(port => $nodes[0] =~ s/.*://r);
$node->start;
ok wait_for(sub { $select->get('/-/ready')->{status} == 200 }, 10),
    'with one it is of use';
$_->stop for $select, $node;

done_testing();
