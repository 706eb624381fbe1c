# SPDX-License-Identifier: BSD-2-Clause
#
# Inserts through a front: what was answered 200 is on the nodes, each span
# once and each trace on one node, whatever happens to nodes and to the front.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8;
my @headers = (pb => { otlp_type('pb') }, json => { otlp_type('json') });
my %type = @headers;

# Rows of a node as [trace, span], of a tenant.
sub rows {
    my ($store, $headers) = @_;
    my $reply = $store->get('/select/logsql/query?query='
        . uri('* | fields trace_id, span_id'), $headers, 60);

    return map { [@$_{qw(trace_id span_id)}] }
        map { $json->decode($_) } split /\n/, $reply->{body};
}

# All rows are there once, and each trace is on one node (unless spread).
sub is_exact {
    my ($name, $spans, $stores, %option) = @_;
    my (%count, %home, %wanted);

    $wanted{$_->{spanId}} = 1 for @$spans;
    for my $i (0 .. $#$stores) {
        for (rows($stores->[$i], $option{headers})) {
            my ($trace, $span) = @$_;
            next unless $wanted{$span} || !$option{of_these};
            $count{$span}++;
            $home{$trace}{$i} = 1;
        }
    }
    my $lost = grep { !$count{$_} } keys %wanted;
    my $double = grep { $count{$_} > 1 } keys %count;
    my $spread = grep { keys %$_ > 1 } values %home;
    is "$lost lost, $double twice", '0 lost, 0 twice', "$name: exactly once"
        or return;
    is $spread, 0, "$name: each trace is on one node" unless $option{spread};
    my %nodes = map { (keys %$_) => 1 } values %home;
    return scalar keys %nodes;
}

sub traces {
    my ($traces, $spans) = @_;

    return map { my $first = otlp_span(); map {
        otlp_span(traceId => $first->{traceId}) } 1 .. $spans } 1 .. $traces;
}

sub wait_exact {
    my ($spans, $stores, $seconds) = @_;

    return wait_for(sub {
        my %seen;
        $seen{$_->[1]} = 1 for map { rows($_) } @$stores;
        return !grep { !$seen{$_->{spanId}} } @$spans;
    }, $seconds || 30);
}

my %fast = ('cluster.probe_interval' => '100ms',
    'cluster.connect_timeout' => '500ms', 'cluster.insert_timeout' => '3s');

sub cluster {
    my ($n, %conf) = @_;
    my @stores = map { Test::Spoor->new(conf => { workers => 1 })->start }
        1 .. $n;
    my $front = Test::Spoor->new(conf => { %fast, workers => 2, %conf,
        storage_nodes => [map { '127.0.0.1:' . $_->port } @stores] })->start;
    return ($front, @stores);
}

my ($front, @stores) = cluster(3);

# --- forms --------------------------------------------------------------------

{
    my @all;

    for my $form ('pb', 'json') {
        my @spans = traces(20, 3);
        my $body = $form eq 'pb' ? otlp_pb(@spans) : otlp_json(@spans);
        my $reply = $front->post('/v1/traces', $body, $type{$form});
        is $reply->{status}, 200, "$form: stored" or diag $reply->{body};
        push @all, @spans;
    }
    is is_exact('forms', \@all, \@stores), 3, 'all nodes have some';
    is $front->metric('vt_rows_ingested_total'), 120, 'counted by the front';
    my $stored = 0;
    $stored += $_->metric('vt_rows_ingested_total{type="internalinsert"}')
        for @stores;
    is $stored, 120, 'and by the nodes';
    for my $server ($front, @stores) {
        is $server->stop, 0, 'stopped';
    }
    ($front, @stores) = cluster(3);
}

# --- what the request says ----------------------------------------------------

# Fields of a row come in any order.
sub sorted_rows {
    my $canonical = JSON::PP->new->utf8->canonical;

    return sort map { $canonical->encode($json->decode($_)) }
        map { split /\n/, $_ } @_;
}

# The same bodies to a node of its own give the same rows.
{
    my $single = Test::Spoor->new(conf => { workers => 1 })->start;
    my $query = '/select/logsql/query?query=' . uri('*');
    my %vt = ('VT-Extra-Fields' => 'zone=north,span_attr:tier=gold',
        'VT-Ignore-Fields' => 'span_attr:secret*',
        'VT-Decolorize-Fields' => 'name',
        'VT-Stream-Fields' => 'span_attr:shop');
    my $number = 0;

    for my $headers ({ AccountID => 7, ProjectID => 8 },
        { AccountID => 9, %vt }, { AccountID => 10 }) {
        $number++;
        my @spans = map { { %$_, name => "\e[1mred\e[0m",
            traceState => 'a=b', flags => 1, droppedAttributesCount => 3,
            attributes => attributes(shop => 'x', secret => 'y',
                n => { intValue => '5' }, deep => { kvlistValue =>
                    { values => attributes(a => 1) } }),
            events => [{ name => 'e', timeUnixNano => otlp_now(),
                attributes => attributes(k => 'v') }],
            links => [{ traceId => $_->{traceId}, spanId => $_->{spanId} }],
            status => { code => 2, message => 'bad' } } } traces(10, 2);
        my $body = traces_json(resource_spans('one', @spans[0 .. 9]),
            resource_spans(['service.name' => 'two', host => 'h'],
                { %{$spans[10]}, scope => { name => 's', version => '1',
                    attributes => attributes(in => 'scope') } },
                @spans[11 .. 19]));

        for my $server ($front, $single) {
            my $reply = $server->post('/v1/traces', $body,
                { otlp_type('json'), %$headers });
            is $reply->{status}, 200, "request $number: stored";
        }
        my %who = map { $_ => $headers->{$_} } grep { /ID$/ }
            keys %$headers;
        my @want = sorted_rows($single->get($query, \%who)->{body});
        my @got = sorted_rows(map { $_->get($query, \%who)->{body} }
            @stores);
        is scalar @want, 20, 'all rows on one node';
        is_deeply \@got, \@want, 'the same rows on three';
    }
    is $single->stop, 0, 'stopped';
}

# What nodes reject is added up, and told to who sends it again.
{
    my $old = '1000000000000000000';
    my @bad = map { { %$_, startTimeUnixNano => $old,
        endTimeUnixNano => $old } } traces(9, 1);
    my @good = traces(9, 1);
    my $body = otlp_json(map { ($bad[$_], $good[$_]) } 0 .. 8);
    my %answers;

    for (1 .. 6) {
        my $reply = $front->post('/v1/traces', $body, $type{json});
        $answers{"$reply->{status} $reply->{body}"} = 1;
    }
    is keys %answers, 1, 'all workers give one answer';
    like join(' ', keys %answers), qr/"rejectedSpans":"9"/,
        'the sum of what nodes rejected';
    like join(' ', keys %answers), qr/retention/, 'and why';
    is_exact('partial success', \@good, \@stores, of_these => 1);
    ok $front->metric('spoor_ingest_duplicate_requests_total') >= 5,
        'the same body again is known';
}

# --- what is no request of a front --------------------------------------------

{
    my $path = '/internal/insert';
    my $reply = $stores[0]->post("$path?version=spoor1", 'garbage');

    is $reply->{status}, 400, 'no parcel';
    $reply = $stores[0]->post($path, '');
    is $reply->{status}, 400, 'no version';
    $reply = $stores[0]->post("$path?version=spoor2", '');
    is $reply->{status}, 400, 'another version';
    like $reply->{body}, qr/speaks version spoor1.*the front speaks spoor2/,
        'names both';
    $reply = $stores[0]->post("$path?version=spoor1", '');
    is $reply->{status}, 200, 'nothing at all';
    is $reply->{body}, "spoor1\n", 'has an answer';
    is $stores[0]->get("$path?version=spoor1")->{status}, 405, 'only POST';
}

# --- nodes that are gone ------------------------------------------------------

sub send_all {
    my ($server, $name, $n) = @_;
    my (@all, $slow);

    for (1 .. $n || 10) {
        my @spans = traces(6, 2);
        my $start = time();
        my $reply = $server->post('/v1/traces', otlp_pb(@spans), $type{pb});
        $slow = time() - $start if !$slow || time() - $start > $slow;
        if ($reply->{status} != 200) {
            is $reply->{status}, 200, "$name: stored" or diag $reply->{body};
            return;
        }
        push @all, @spans;
    }
    pass "$name: all stored";
    diag sprintf '%s: the slowest took %.2f s', $name, $slow;
    return @all;
}

{
    ($front, @stores) = cluster(3);
    my @all = send_all($front, 'all up');

    $stores[0]->kill_all;
    push @all, send_all($front, 'one killed');
    my @two = @stores[1, 2];
    $stores[1]->kill_all;
    push @all, send_all($front, 'two killed');
    $stores[2]->kill_all;
    my @queued = send_all($front, 'all killed');
    push @all, @queued;
    ok $front->metric('spoor_cluster_queue_parcels') > 0, 'some wait';
    $_->start for @stores;
    ok wait_exact(\@all, \@stores), 'all delivered';
    is_exact('killed nodes', \@all, \@stores, spread => 1);
    ok wait_for(sub {
        return $front->metric('spoor_cluster_queue_parcels') == 0 }, 10),
        'nothing waits';
    is $front->metric('spoor_cluster_possible_doubles_total'), 0,
        'nothing may be there twice';

    # The front dies with a queue.
    $_->kill_all for @stores;
    @queued = send_all($front, 'all killed again', 5);
    $front->kill_all;
    $_->start for @stores;
    $front->start;
    ok wait_exact(\@queued, \@stores), 'delivered by the next front';
    is_exact('front killed', [@all, @queued], \@stores, spread => 1);

    # And stops with one.
    $_->kill_all for @stores;
    my @more = send_all($front, 'before a stop', 5);
    is $front->stop, 0, 'the front stops';
    $_->start for @stores;
    $front->start;
    ok wait_exact(\@more, \@stores), 'delivered after it';
    is_exact('front stopped', [@all, @queued, @more], \@stores, spread => 1);
    $_->stop for $front, @stores;
}

# --- a node that hangs --------------------------------------------------------

{
    ($front, @stores) = cluster(3);
    my @all = send_all($front, 'before it hangs');
    my @pids = map { @$_ } values %{$stores[1]->pids};
    my $workers = $stores[1]->pids->{worker};

    kill 'STOP', @$workers;
    push @all, send_all($front, 'one hangs', 15);
    ok $front->metric('spoor_cluster_unknown_parcels_total') > 0,
        'the fate of some is not known';
    kill 'CONT', @$workers;
    ok wait_exact(\@all, \@stores), 'all delivered';
    is_exact('a node that hung', \@all, \@stores, spread => 1);
    ok wait_for(sub {
        return $front->metric('spoor_cluster_queue_parcels') == 0 }, 10),
        'nothing waits';
    is $front->metric('spoor_cluster_possible_doubles_total'), 0,
        'nothing may be there twice';
    $_->stop for $front, @stores;
}

# It never comes back: others get what it may have.
{
    ($front, @stores) = cluster(2, 'cluster.unknown_timeout' => '2s');
    my @all = send_all($front, 'before it hangs', 3);
    my $workers = $stores[1]->pids->{worker};

    kill 'STOP', @$workers;
    push @all, send_all($front, 'one hangs for good', 5);
    ok wait_for(sub {
        return $front->metric('spoor_cluster_possible_doubles_total') > 0 },
        20), 'given up';
    ok $front->wait_log(qr/they may be there twice/, 5), 'and said so';
    ok wait_for(sub {
        return $front->metric('spoor_cluster_queue_parcels') == 0 }, 10),
        'nothing waits';
    kill 'CONT', @$workers;
    ok wait_exact(\@all, \@stores), 'all are there';
    $_->stop for $front, @stores;
}

# --- processes that die in the middle -----------------------------------------

for my $fault ('ingest.after_append', 'ingest.after_commit',
    'ingest.after_reply') {
    ($front, @stores) = cluster(2);
    my $file = $stores[0]->dir . '/faults';
    $stores[0]->stop;
    $stores[0]{env}{SPOOR_FAULT_FILE} = $file;
    $stores[0]->start;
    my @all = send_all($front, "$fault: before", 3);

    spew_faults($file, "$fault:kill:3");
    push @all, send_all($front, "$fault: a node dies", 10);
    ok wait_exact(\@all, \@stores), "$fault: all delivered";
    is_exact($fault, \@all, \@stores, spread => 1);
    is $front->metric('spoor_cluster_possible_doubles_total'), 0,
        "$fault: nothing may be there twice";
    $_->stop for $front, @stores;
}

sub spew_faults {
    my ($file, $text) = @_;

    open my $out, '>', "$file.new" or die "$file: $!\n";
    print $out "$text\n";
    close $out;
    rename "$file.new", $file or die "$file: $!\n";
    sleep 0.05;
    return;
}

# Whoever has no answer sends the same again, until he has one.
for my $fault ('sender.before_send', 'sender.after_answer',
    'sender.before_answer') {
    ($front, @stores) = cluster(2);
    my $file = $front->dir . '/faults';
    $front->stop;
    $front->{env}{SPOOR_FAULT_FILE} = $file;
    $front->start;
    spew_faults($file, "$fault:kill:4");
    my (@all, $died);

    for (1 .. 12) {
        my @spans = traces(6, 2);
        my $status = 0;

        for (1 .. 50) {
            $status = $front->post('/v1/traces', otlp_pb(@spans),
                $type{pb})->{status};
            last if $status == 200;
            $died++;
            sleep 0.1;
        }
        push @all, @spans if $status == 200;
    }
    is @all, 144, "$fault: all stored in the end";
    ok $died, "$fault: one died";
    is_exact("front, $fault", \@all, \@stores);
    $_->stop for $front, @stores;
}

# --- the queue first ----------------------------------------------------------

{
    ($front, @stores) = cluster(2, 'cluster.answer_when_queued' => 'true');
    my @all = send_all($front, 'queue first');

    ok wait_exact(\@all, \@stores), 'delivered';
    is_exact('queue first', \@all, \@stores);
    for my $pid (@{$front->pids->{worker}}) {
        my @spans = traces(6, 2);

        kill 'KILL', $pid if $front->post('/v1/traces', otlp_pb(@spans),
            $type{pb})->{status} == 200;
        push @all, @spans;
    }
    ok wait_exact(\@all, \@stores), 'those of workers that died, too';
    is_exact('workers killed', \@all, \@stores);
    $_->stop for $front, @stores;
}

{
    ($front, @stores) = cluster(2, 'cluster.queue_max_bytes' => 0);
    my @all = send_all($front, 'no queue', 3);

    $_->kill_all for @stores;
    my @spans = traces(6, 2);
    my $reply = $front->post('/v1/traces', otlp_pb(@spans), $type{pb});
    is $reply->{status}, 503, 'no node, no queue: 503';
    ok $reply->{headers}{'retry-after'}, 'with Retry-After';
    $_->start for @stores;
    ok wait_for(sub { return $front->post('/v1/traces', otlp_pb(@spans),
        $type{pb})->{status} == 200 }, 20), 'stored when they are back';
    is_exact('no queue', [@all, @spans], \@stores);
    $_->stop for $front, @stores;
}

# --- what is no storage node --------------------------------------------------

# Answers every request with this text.
sub imitation {
    my ($answer) = @_;
    my $listen = IO::Socket::INET->new(Listen => 16, ReuseAddr => 1,
        LocalAddr => '127.0.0.1') or die "listen: $!\n";
    my $pid = fork();

    return ($pid, $listen->sockport) if $pid;
    while (my $client = $listen->accept) {
        my ($in, $end) = ('', undef);
        while (sysread $client, $in, 65536, length $in) {
            $end = index $in, "\r\n\r\n";
            next if $end < 0;
            my $len = $in =~ /^content-length: *(\d+)/mi ? $1 : 0;
            last if length($in) >= $end + 4 + $len;
        }
        print $client $in =~ m{^GET /health} ? "HTTP/1.1 200 OK\r\n"
            . "Content-Length: 2\r\nConnection: close\r\n\r\nOK" : $answer;
        close $client;
    }
    POSIX::_exit(0);
}

# It takes all and says nothing.
{
    my ($pid, $port) = imitation('');
    my $store = Test::Spoor->new(conf => { workers => 1 })->start;
    $front = Test::Spoor->new(conf => { %fast, workers => 1,
        'cluster.unknown_timeout' => '2s',
        storage_nodes => ["127.0.0.1:$port", '127.0.0.1:' . $store->port] })
        ->start;
    my @all = send_all($front, 'silence', 4);

    ok $front->metric('spoor_cluster_unknown_parcels_total') > 0,
        'silence: fates that are not known';
    ok wait_exact(\@all, [$store], 30), 'silence: another node gets them';
    is_exact('silence', \@all, [$store]);
    ok $front->metric('spoor_cluster_possible_doubles_total') > 0,
        'silence: counted';
    kill 'KILL', $pid;
    waitpid $pid, 0;
    $_->stop for $front, $store;
}

for my $case (['HTTP/1.1 400 No', 'speaks spoor9 not spoor1',
        qr/400 to .*version=spoor1: speaks spoor9 not spoor1/],
    ['HTTP/1.1 404 No', 'nothing here',
        qr/is it spoor, of this version/],
    ['HTTP/1.1 200 OK', '<html>welcome</html>',
        qr/is no storage node of this version/],
    ['HTTP/1.1 302 Go', 'elsewhere', qr/302 to/]) {
    my ($status, $text, $want) = @$case;
    my ($pid, $port) = imitation("$status\r\nLocation: /x\r\nContent-Length: "
        . length($text) . "\r\nConnection: close\r\n\r\n$text");
    my $store = Test::Spoor->new(conf => { workers => 1 })->start;
    $front = Test::Spoor->new(conf => { %fast, workers => 1,
        storage_nodes => ["127.0.0.1:$port", '127.0.0.1:' . $store->port] })
        ->start;
    my @all = send_all($front, $status, 4);

    is_exact($status, \@all, [$store]);
    like $front->log, $want, 'the log says why';
    is $front->metric('spoor_cluster_queue_parcels'), 0, 'nothing waits';
    kill 'KILL', $pid;
    waitpid $pid, 0;
    $_->stop for $front, $store;
}

done_testing;
