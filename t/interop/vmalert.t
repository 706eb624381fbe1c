# SPDX-License-Identifier: BSD-2-Clause
#
# A real vmalert that evaluates the rules of contrib/vmalert against a server:
#
#     make interop SPOOR_VMALERT=/usr/local/bin/vmalert
#
# vmalert says by its own API how its rules are; what it writes and notifies
# goes to a small server here, which takes everything.  SPOOR_VMALERT_SECONDS
# is how long it runs (20).

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time sleep);

my $vmalert = $ENV{SPOOR_VMALERT};
my $seconds = $ENV{SPOOR_VMALERT_SECONDS} || 20;

plan skip_all => 'SPOOR_VMALERT names no vmalert'
    unless $vmalert && -x $vmalert;

my $json = JSON::PP->new->utf8;
my $spoor = Test::Spoor->new;
my @children;

END { local $?; kill 'TERM', $_ for @children }

$spoor->start;

# Takes every request with 204, and says which paths there were.
sub taker {
    my ($log) = @_;
    my $listen = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1')
        or die "listen: $!\n";
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid) {
        push @children, $pid;
        return $listen->sockport;
    }
    @children = ();
    while (my $client = $listen->accept) {
        my ($data, $length) = ('', 0);

        while ($data !~ /\r\n\r\n/s && sysread $client, my $more, 65536) {
            $data .= $more;
        }
        $length = $1 if $data =~ /content-length: (\d+)/i;
        $data =~ s/^(.*?\r\n)(.*?)\r\n\r\n//s or next;
        my $line = $1;
        while (length $data < $length && sysread $client, my $more, 65536) {
            $data .= $more;
        }
        open my $out, '>>', $log;
        print $out $line;
        close $out;
        print $client "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        close $client;
    }
    POSIX::_exit(0);
}

# The sample rules, evaluated each second over the last hour.
sub rules {
    my $file = spoor_root() . '/contrib/vmalert/traces.yml';

    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    $text =~ s/interval: 1m\n/interval: 1s\n/ or die "no interval\n";
    $text =~ s/eval_delay: 15s\n/eval_delay: 0s\n/ or die "no eval_delay\n";
    $text =~ s/(expr: (?:>-\n\s+|'))/$1_time:1h /g;
    open my $out, '>', $spoor->dir . '/rules.yml' or die "rules.yml: $!\n";
    print $out $text;
    close $out;
    return $spoor->dir . '/rules.yml';
}

sub spans {
    my ($n, %span) = @_;
    my $end = time();

    return map { otlp_span(%span,
        startTimeUnixNano => sprintf('%d', ($end - $_ / 10) * 1e9),
        endTimeUnixNano => sprintf('%d', $end * 1e9)) } 1 .. $n;
}

my $taken = $spoor->dir . '/taken';
my $sink = 'http://127.0.0.1:' . taker($taken) . '/';
my $port = free_port();
post_traces($spoor, resource_spans('shop', spans(20, name => 'GET /',
    kind => 2), spans(5, name => 'POST /', kind => 2,
    status => { code => 2 })));
post_traces($spoor, resource_spans('fine', spans(20, name => 'GET /',
    kind => 2)));

my $pid = fork();
die "fork: $!\n" unless defined $pid;
if ($pid == 0) {
    open STDOUT, '>', $spoor->dir . '/vmalert.log';
    open STDERR, '>&', \*STDOUT;
    exec $vmalert, '-rule=' . rules(), '-datasource.url=' . $spoor->url . '/',
        "-remoteWrite.url=$sink", "-notifier.url=$sink",
        "-httpListenAddr=127.0.0.1:$port", '-remoteWrite.flushInterval=1s'
        or POSIX::_exit(127);
}
push @children, $pid;

sub vmalert_api {
    my ($path) = @_;
    my $reply = HTTP::Tiny->new(proxy => undef, http_proxy => undef,
        timeout => 5)->get("http://127.0.0.1:$port$path");

    return $reply->{success} ? $json->decode($reply->{content})->{data}
        : undef;
}

sub all_rules {
    my $data = vmalert_api('/api/v1/rules') or return ();

    return map { @{$_->{rules}} } @{$data->{groups}};
}

ok wait_for(sub { my @rules = all_rules();
    @rules == 4 && !grep { !$_->{lastSamples} } @rules }, 60),
    'all rules have results';
my $until = time() + $seconds;
while (time() < $until) {
    sleep 1;
    my @bad = grep { $_->{health} ne 'ok' || length $_->{lastError} }
        all_rules();
    next unless @bad;
    fail "rules are evaluated: $_->{name}: $_->{lastError}" for @bad;
    last;
}
my %rules = map { $_->{name} => $_ } all_rules();
is_deeply [sort keys %rules], [qw(ManyFailedRequests spans:count
    spans:duration_p95_seconds spans:errors)], 'three recorded, one alert';
for my $name (sort keys %rules) {
    is $rules{$name}{health}, 'ok', "$name is healthy";
    is $rules{$name}{lastError}, '', "$name has no error";
}
is $rules{'spans:count'}{lastSamples}, 2, 'a sample for each service';
is $rules{'spans:errors'}{lastSamples}, 1, 'a sample of errors';
my @alerts = @{$rules{ManyFailedRequests}{alerts}};
is scalar(@alerts), 1, 'one alert';
is $alerts[0]{state}, 'firing', 'it fires';
is $alerts[0]{value}, '0.2', 'its value';
is $alerts[0]{labels}{'resource_attr:service.name'}, 'shop', 'its labels';
like $alerts[0]{annotations}{summary}, qr/^shop: more than 5 %/, 'its text';
open my $in, '<', $taken or die "$taken: $!\n";
my @taken = <$in>;
ok((grep { m{/api/v1/write} } @taken), 'samples were written');
ok((grep { m{/api/v2/alerts} } @taken), 'the alert was sent');
diag sprintf '%d writes, %d notices in %d s', scalar(grep { /write/ } @taken),
    scalar(grep { /alerts/ } @taken), $seconds;

kill 'TERM', $pid;
waitpid $pid, 0;
is $? >> 8, 0, 'vmalert ends';
$spoor->stop;
done_testing;
