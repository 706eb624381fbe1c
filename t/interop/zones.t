# SPDX-License-Identifier: BSD-2-Clause
#
# Two zones, each a front with two storage nodes.  A real Collector sends every
# span to both, a real vmauth reads from zone A and, when that cannot answer,
# from zone B; both with the files of contrib/cluster.  Spans are numbered, and
# are sent and asked for all the time, while nodes of zone A and its front are
# killed and come back.  In the end both zones have each span once.  A table of
# what happened is the last that is printed.
#
#     make interop SPOOR_VMAUTH=/usr/local/bin/vmauth
#
# An answer is right when it has all spans that the Collector took more than
# $settle_seconds ago.  Two things are told apart from wrong ones: "late", an
# answer of zone A that lacks spans which still wait in its queues, after its
# nodes came back; and "failed", no answer at all.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Handle;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::Cluster;
use Test::Delivery;
use Test::More;
use Test::Otlp;
use Test::Sdk;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time sleep);

my $settle_seconds = 3;
my $phase_seconds = 6;
my $catch_up_seconds = 60;
my $traces_a_request = 5; # of two spans each

my $vmauth = $ENV{SPOOR_VMAUTH};

plan skip_all => 'SPOOR_VMAUTH names no vmauth' unless $vmauth && -x $vmauth;
my $why = sdk_build('collector');
plan skip_all => "Collector: $why" if defined $why;

my $json = JSON::PP->new->utf8;
my @children;

END {
    local $?;
    kill 'KILL', @children if @children;
}

sub child {
    my ($run) = @_;
    my $pid = fork();

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        @children = ();
        $run->();
        POSIX::_exit(0);
    }
    push @children, $pid;
    return $pid;
}

sub http { return HTTP::Tiny->new(proxy => undef, http_proxy => undef,
    timeout => 20, @_) }

# --- the zones ----------------------------------------------------------------

my %zone = map { $_ => Test::Cluster->new(stores => 2)->start } qw(a b);
my $dir = $zone{a}->front->dir;
my $id_seed = int time();

# A span that says which zone an answer is of.
for my $name (sort keys %zone) {
    is post_traces($zone{$name}->front, resource_spans("zone-$name",
        otlp_span(spanId => "00000000000000f$name", attributes =>
            attributes(seq => { intValue => '0' }))))->{status}, 200,
        "zone $name takes spans";
}

# A file of contrib/cluster/ at the ports of this test.
sub contrib {
    my ($name, %port) = @_;
    my $text = slurp(spoor_root() . "/contrib/cluster/$name");

    for (sort keys %port) {
        $text =~ s/\Q$_\E\b/127.0.0.1:$port{$_}/g or die "$name: no $_\n";
    }
    spew("$dir/$name", $text);
    return "$dir/$name";
}

sub program {
    my ($name, $port, @words) = @_;
    my $pid = child(sub {
        open STDOUT, '>', "$dir/$name.log" or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        exec { $words[0] } @words or POSIX::_exit(127);
    });

    wait_for(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port) }, 30)
        or die "$name does not listen: " . slurp("$dir/$name.log") . "\n";
    return $pid;
}

my ($collector_port, $vmauth_port) = map { free_port() } 1 .. 2;
my $collector_conf = contrib('collector-zones.yaml',
    '0.0.0.0:4318' => $collector_port,
    'insert.zone-a.example.org:10481' => $zone{a}->front->port,
    'insert.zone-b.example.org:10481' => $zone{b}->front->port);
spew($collector_conf, slurp($collector_conf)
    =~ s/^service:\n/service:\n  telemetry: {metrics: {level: none}}\n/mr);
my $collector = program('collector', $collector_port,
    sdk_command('collector'), '--config', $collector_conf);
program('vmauth', $vmauth_port, $vmauth,
    '-auth.config=' . contrib('vmauth-zones.yml',
        'select.zone-a.example.org:10471' => $zone{a}->front->port,
        'select.zone-b.example.org:10471' => $zone{b}->front->port),
    "-httpListenAddr=127.0.0.1:$vmauth_port");

# --- who sends: lines "time number" of what the Collector took ----------------

sub trace_id { return sprintf '%08x%024x', $id_seed, int(($_[0] + 1) / 2) }
sub span_id { return sprintf '%08x%08x', $id_seed, $_[0] }

sub send_spans {
    my $http = http();
    my $n = 0;

    open my $out, '>', "$dir/sent" or POSIX::_exit(1);
    $out->autoflush(1);
    while (!-e "$dir/end") {
        my @spans = map { otlp_span(traceId => trace_id($_),
            spanId => span_id($_), name => "span $_",
            attributes => attributes(seq => { intValue => "$_" }))
        } $n + 1 .. $n + 2 * $traces_a_request;
        my $body = traces_json(resource_spans('app', @spans));

        $n += @spans;
        sleep 0.2 while !$http->post(
            "http://127.0.0.1:$collector_port/v1/traces", {
                headers => { otlp_type('json') }, content => $body
            })->{success};
        print $out sprintf "%.3f %d\n", time(), $n;
        sleep 0.1;
    }
    close $out;
    return;
}

# The last number that the Collector took before a time.
sub sent_before {
    my ($time) = @_;
    my $last = 0;

    for (split /\n/, slurp("$dir/sent")) {
        my ($at, $n) = split / /;
        last if $at > $time;
        $last = $n;
    }
    return $last;
}

# --- who reads: lines "time kind zone text" -----------------------------------

my $service = '"resource_attr:service.name"';
my $seq = '"span_attr:seq"';

# Spans up to a number by service.
sub by_service {
    my ($port, $n, $more) = @_;
    my $reply = http()->get("http://127.0.0.1:$port/select/logsql/query?query="
        . uri("$seq:<=$n | stats by ($service) count() n, "
            . 'count_uniq(span_id) u') . ($more || ''));

    return "$reply->{status} " . substr $reply->{content}, 0, 200
        unless $reply->{success};
    my %n = map { $_->{'resource_attr:service.name'} => $_ }
        map { $json->decode($_) } split /\n/, $reply->{content};
    return \%n;
}

# What an answer is: (right, short, wrong or failed; its zone; a text).
sub judge_count {
    my ($n) = @_;
    my $got = by_service($vmauth_port, $n);

    return ('failed', '-', $got) unless ref $got;
    my @zones = grep { $got->{"zone-$_"} } qw(a b);
    my ($count, $unique) = $got->{app} ? @{$got->{app}}{qw(n u)} : (0, 0);
    my $text = "$count rows, $unique spans of $n";
    return ('wrong', "@zones", "zones: $text") unless @zones == 1;
    return ('right', @zones, $text) if $count == $n && $unique == $n;
    return ($count == $unique && $count < $n ? 'short' : 'wrong', @zones,
        $text);
}

# A trace by its id; its zone is not known.
sub judge_trace {
    my ($n) = @_;
    my $id = trace_id(1 + int rand $n);
    my $reply = http()->get("http://127.0.0.1:$vmauth_port"
        . "/select/jaeger/api/traces/$id");

    return ('short', '-', "no trace $id") if $reply->{status} == 404;
    return ('failed', '-', "$reply->{status} $reply->{content}")
        unless $reply->{success};
    my $spans = @{$json->decode($reply->{content})->{data}[0]{spans} || []};
    return ($spans == 2 ? 'right' : $spans < 2 ? 'short' : 'wrong', '-',
        "$spans spans of trace $id");
}

sub read_spans {
    open my $out, '>', "$dir/read" or POSIX::_exit(1);
    $out->autoflush(1);
    for (my $turn = 0; !-e "$dir/end-read"; $turn++) {
        my $n = sent_before(time() - $settle_seconds);

        sleep 0.1;
        next if !$n;
        my ($kind, $zone, $text) = $turn % 3 ? judge_count($n)
            : judge_trace($n);
        $text =~ s/\s+/ /g;
        print $out sprintf "%.3f %s %s %s\n", time(), $kind, $zone, $text;
    }
    close $out;
    return;
}

# --- phases -------------------------------------------------------------------

my (@phases, @catching_up);
my $sender = child(\&send_spans);
my $reader = child(\&read_spans);

# Parcels that wait at the front of zone A; 0 when it is not there.
sub queue {
    return $zone{a}->front->is_running
        ? $zone{a}->front->metric('spoor_cluster_queue_parcels') || 0 : 0;
}

# Spans that a zone has, as far as it can be reached.
sub found {
    my ($name) = @_;
    my $got = by_service($zone{$name}->front->port, 1e9,
        '&allow_partial_response=1');

    return ref $got ? $got->{app}{n} : '-';
}

# Runs for a while, and until the condition; the queue is watched.
sub phase {
    my ($name, $is_done) = @_;
    my $phase = { name => $name, begin => time(), queue => 0 };
    my $is_ok = 1;

    while (1) {
        my $parcels = queue();
        my $seconds = time() - $phase->{begin};

        $phase->{queue} = $parcels if $parcels > $phase->{queue};
        $is_ok = !$is_done || $is_done->();
        last if $is_ok && $seconds > $phase_seconds
            || $seconds > $phase_seconds + $catch_up_seconds;
        sleep 0.1;
    }
    $phase->{$_} = found($_) for qw(a b);
    $phase->{end} = time();
    $phase->{sent} = sent_before($phase->{end});
    $phase->{settled} = sent_before($phase->{end} - $settle_seconds);
    push @phases, $phase;
    ok $is_ok, $name;
    return $phase;
}

# Zone A has all that was taken before it came back, and is read from.
sub is_caught_up {
    my ($since) = @_;
    my $window = { begin => $since };
    my $n = sent_before($since);

    push @catching_up, $window;
    return sub {
        if (!$window->{end}) {
            my $got = by_service($zone{a}->front->port, $n);
            return 0 unless ref $got && $got->{app}{n} == $n && !queue();
            $window->{end} = time();
        }
        return (judge_count(sent_before(time() - $settle_seconds)))[1] eq 'a';
    };
}

my @stores = $zone{a}->stores;
my $front = $zone{a}->front;
my $since;

phase('both zones are up', sub { -s "$dir/read" });
$stores[0]->kill_all;
phase('a node of A is killed');
$since = time();
$stores[0]->start;
phase('it is back', is_caught_up($since));
$_->kill_all for @stores;
my $queued = phase('both nodes of A are killed');
$since = time();
$_->start for @stores;
phase('they are back', is_caught_up($since));
$front->kill_all;
phase('the front of A is killed');
$since = time();
$front->start;
phase('it is back', is_caught_up($since));
spew("$dir/end", '');
waitpid $sender, 0;
phase('nobody sends', sub {
    my $n = sent_before(time());
    return found('a') eq $n && found('b') eq $n && !queue();
});
spew("$dir/end-read", '');
waitpid $reader, 0;

# --- answers ------------------------------------------------------------------

sub is_catching_up {
    my ($at) = @_;

    return scalar grep { $at >= $_->{begin} && $at <= $_->{end} + 0.5 }
        grep { $_->{end} } @catching_up;
}

my ($last_right, @said);
for (split /\n/, slurp("$dir/read")) {
    my ($at, $kind, $zone, $text) = split / /, $_, 4;
    my ($phase) = grep { $at <= $_->{end} } @phases or next;

    # Of zone B nothing may be late; of a trace the zone is not known.
    $kind = $zone ne 'b' && is_catching_up($at) ? 'late' : 'wrong'
        if $kind eq 'short';
    $phase->{$kind}++;
    $phase->{"from_$zone"}++ if $kind eq 'right';
    push @said, sprintf '%s, %.1f s: %s, zone %s: %s', $phase->{name},
        $at - $phase->{begin}, $kind, $zone, $text if $kind ne 'right';
    next if $kind ne 'right';
    my $gap = $at - ($last_right || $at);
    $phase->{gap} = $gap if $gap > ($phase->{gap} || 0);
    $last_right = $at;
}

sub number { return $_[0]{$_[1]} || 0 }

for my $phase (@phases) {
    is number($phase, 'wrong'), 0, "$phase->{name}: no wrong answer";
    is number($phase, 'failed'), 0, "$phase->{name}: no failed read";
    cmp_ok number($phase, 'right'), '>', 5, "$phase->{name}: right answers";
}
my @down = @phases[1, 3, 5];
for my $phase (@down) {
    cmp_ok number($phase, 'from_b'), '>', 0,
        "$phase->{name}: zone B answers";
    cmp_ok $phase->{b}, '>=', $phase->{settled},
        "$phase->{name}: zone B lacks nothing";
}
cmp_ok $queued->{queue}, '>', 0, 'the queue of zone A was of use';
ok scalar(grep { /"?Exporting failed/ } split /\n/, slurp("$dir/collector.log")),
    'and so was that of the Collector';
unlike slurp("$dir/collector.log"), qr/[Dd]ropp/, 'which dropped nothing';

# --- each span once -----------------------------------------------------------

my $sent = sent_before(time());
my @spans = map { { spanId => span_id($_) } } 1 .. $sent;
for my $name (sort keys %zone) {
    is_exact("zone $name", \@spans, [$zone{$name}->stores], spread => 1);
    is found($name), $sent, "zone $name: all that was sent, and no more";
    is $zone{$name}->front->metric('spoor_cluster_possible_doubles_total'), 0,
        "zone $name: nothing may be there twice";
}
is +(judge_count($sent))[1], 'a', 'vmauth reads from zone A again';
kill 'TERM', $collector;
waitpid $collector, 0;
$_->stop for @zone{qw(a b)};

my $form = '%-27s %6s %6s %6s %7s %7s %5s %5s %6s %6s %6s';
diag($_) for '', sprintf($form, 'phase', 'sent', 'in A', 'in B', 'right A',
    'right B', 'late', 'wrong', 'failed', 'gap s', 'queue');
for my $phase (@phases) {
    diag(sprintf $form, @{$phase}{qw(name sent a b)},
        map({ number($phase, $_) } qw(from_a from_b late wrong failed)),
        sprintf('%.2f', number($phase, 'gap')), $phase->{queue});
}
diag($_) for '',
    'sent, in A, in B: at the end of the phase, of nodes that are up',
    'right A, right B: counts by zone; traces by id are not among them',
    'gap: between two right answers, at most; queue: parcels of A, at most',
    'zone A had caught up after ' . join(', ', map {
        sprintf '%.1f s', $_->{end} - $_->{begin} } grep { $_->{end} }
        @catching_up),
    'Collector ' . sdk_version('collector'), @said ? ('', @said) : ();
done_testing();
