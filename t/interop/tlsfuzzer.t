# SPDX-License-Identifier: BSD-2-Clause
#
# The scripts of tlsfuzzer against spoor and against nginx, which uses the
# same OpenSSL with the same suites and certificate: what nginx passes, spoor
# has to pass.  A table of all scripts is printed at the end.
#
#     make tls-check SPOOR_TLSFUZZER=~/tlsfuzzer \
#         SPOOR_TLSFUZZER_PYTHON=~/venv/bin/python3
#
# The first is a checkout of https://github.com/tlsfuzzer/tlsfuzzer, the
# second a Python with its requirements (pip install --pre tlslite-ng); with
# SPOOR_TLSFUZZER_SCRIPTS=PATTERN only some run.  Most scripts are made for
# RSA key exchange; those that know -d are asked for ECDHE.  Choices of chance
# are the same for both servers.  Scripts that measure time are left out.

use strict;
use warnings;

use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Test::Spoor;
use Test::Tls;

my $checkout = $ENV{SPOOR_TLSFUZZER};
my $python = $ENV{SPOOR_TLSFUZZER_PYTHON} || 'python3';
my $wanted = $ENV{SPOOR_TLSFUZZER_SCRIPTS} || '.';
my $seconds = 240; # some make thousands of connections

plan skip_all => 'SPOOR_TLSFUZZER is no checkout of tlsfuzzer'
    unless $checkout && -d "$checkout/scripts";
my ($nginx) = grep { -x } '/usr/sbin/nginx', '/usr/local/sbin/nginx';
plan skip_all => 'nginx is not installed' unless $nginx;

my $dir = tempdir('spoor-tlsfuzzer-XXXXXX', TMPDIR => 1, CLEANUP => 1);
certs($dir, 'name=self key=rsa cn=localhost san=DNS:localhost');
spew("$dir/sitecustomize.py", "import random\nrandom.seed(7)\n");

my %ports = (spoor => free_port(), nginx => free_port());
my $plain = free_port();
my $spoor = Test::Spoor->new(port => $plain, yaml => <<"END");
http.listen:
  - address: 127.0.0.1:$plain
  - address: 127.0.0.1:$ports{spoor}
    cert: $dir/self.pem
    key: $dir/self.key
workers: 1
storage.path: $dir/data
END
$spoor->start;

my $suites = join ':', map { ("ECDHE-ECDSA-$_", "ECDHE-RSA-$_") }
    qw(AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305);
spew("$dir/nginx.conf", <<"END");
worker_processes 1; daemon off; pid $dir/nginx.pid; error_log $dir/err warn;
events {}
http {
    access_log off;
    client_body_temp_path $dir/b; proxy_temp_path $dir/p;
    fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
    server {
        listen 127.0.0.1:$ports{nginx} ssl http2;
        ssl_certificate $dir/self.pem; ssl_certificate_key $dir/self.key;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_prefer_server_ciphers on;
        ssl_ecdh_curve X25519:P-256:P-384:P-521; ssl_ciphers $suites;
        location / { return 200 "ok"; }
    }
}
END
my $nginx_pid = fork();
die "fork: $!\n" unless defined $nginx_pid;
if ($nginx_pid == 0) {
    exec { $nginx } $nginx, '-c', "$dir/nginx.conf", '-e', "$dir/err"
        or POSIX::_exit(127);
}
my $owner = $$;
END { kill 'TERM', $nginx_pid if defined $owner && $$ == $owner && $nginx_pid }
ok wait_for(sub { curl("https://localhost:$ports{nginx}/", '-k')->{status} }),
    'nginx runs';

# What one script says: passed, failed, exit status, names of the failed.
sub result_of {
    my ($text) = @_;
    my %result = (pass => 0, fail => 0, exit => '?', failed => {});

    $result{lc $1} = $2 while $text =~ /^(PASS|FAIL): (\d+)$/mg;
    $result{exit} = $1 if $text =~ /^exit (\d+)$/m;
    $result{failed}{$1} = 1 while $text =~ /^\t('.*')$/mg;
    return \%result;
}

sub run_both {
    my ($script) = @_;
    (my $app = $script) =~ tr/-/_/;
    my $source = -e "$checkout/tlsfuzzer/_apps/$app.py"
        ? "$checkout/tlsfuzzer/_apps/$app.py" : "$checkout/scripts/$script.py";
    my @more = slurp($source) =~ /opt == ['"]-d['"]/ ? ('-d') : ();
    my %pids;

    for my $server (keys %ports) {
        my $pid = fork();
        die "fork: $!\n" unless defined $pid;
        if ($pid == 0) {
            chdir $checkout;
            $ENV{PYTHONPATH} = "$dir:.";
            $ENV{PYTHONHASHSEED} = 0;
            open STDOUT, '>', "$dir/$server.out";
            open STDERR, '>&', \*STDOUT;
            exec 'timeout', $seconds, $python, "scripts/$script.py", '-h',
                'localhost', '-p', $ports{$server}, @more
                or POSIX::_exit(127);
        }
        $pids{$pid} = $server;
    }
    my %results;
    for my $pid (keys %pids) {
        waitpid $pid, 0;
        my $status = $? >> 8;
        $results{$pids{$pid}} =
            result_of(slurp("$dir/$pids{$pid}.out") . "exit $status\n");
    }
    return \%results;
}

my @table;
my %sum;
for my $path (sort glob "$checkout/scripts/test-*.py") {
    my ($script) = $path =~ m{([^/]+)\.py$};
    next if $script =~ /timing|marvin/ || $script !~ /$wanted/;
    my $both = run_both($script);
    my ($ours, $theirs) = @$both{qw(spoor nginx)};
    my @worse = grep { !$theirs->{failed}{$_} } sort keys %{$ours->{failed}};
    my @better = grep { !$ours->{failed}{$_} } sort keys %{$theirs->{failed}};

    # Some name their cases by chance that no seed settles.
    my $is_same = !grep { $ours->{$_} ne $theirs->{$_} } qw(pass fail exit);
    @worse = @better = () if $is_same;
    # Others go on until chance has shown them what they wait for.
    ok $ours->{exit} eq '0' || @worse == 0 && $ours->{pass} >= $theirs->{pass},
        $script
        or diag "only spoor fails: @worse[0 .. ($#worse > 9 ? 9 : $#worse)]";
    for my $server (qw(spoor nginx)) {
        $sum{$server}{$_} += $both->{$server}{$_} for qw(pass fail);
        $sum{$server}{good}++ if $both->{$server}{exit} eq '0';
    }
    push @table, sprintf '%-52s %6s %6s %5s %6s %6s %5s  %s', $script,
        @$ours{qw(pass fail exit)}, @$theirs{qw(pass fail exit)},
        @worse ? 'worse' : @better ? 'better' : '';
}
diag sprintf '%-52s %6s %6s %5s %6s %6s %5s', 'script', 'spoor', 'failed',
    'exit', 'nginx', 'failed', 'exit';
diag $_ for @table;
diag sprintf '%-52s %6s %6s %5s %6s %6s %5s', scalar(@table) . ' scripts',
    map { ($sum{$_}{pass}, $sum{$_}{fail}, ($sum{$_}{good} || 0) . ' ok') }
    qw(spoor nginx);

is $spoor->stop, 0, 'spoor stops';
done_testing();
