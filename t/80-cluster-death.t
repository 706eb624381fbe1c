# SPDX-License-Identifier: BSD-2-Clause
#
# Inserts through a front while nodes and the front itself die, hang, stop and
# come back: what was answered 200 is on the nodes, each span once.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Test::Delivery;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Time::HiRes qw(sleep time);

my %type = (pb => { otlp_type('pb') });
my %fast = ('cluster.probe_interval' => '100ms',
    'cluster.connect_timeout' => '500ms', 'cluster.insert_timeout' => '3s');
my ($front, @stores);

# --- nodes that are gone ------------------------------------------------------

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
    ok wait_for(sub { return $front->metric('spoor_node_queue_parcels') > 0 },
        5), 'and wait for this node';
    kill 'CONT', @$workers;
    ok wait_exact(\@all, \@stores), 'all delivered';
    is_exact('a node that hung', \@all, \@stores, spread => 1);
    ok wait_for(sub {
        return $front->metric('spoor_cluster_queue_parcels') == 0 }, 10),
        'nothing waits';
    ok wait_for(sub { return $front->metric('spoor_node_queue_parcels') == 0 },
        5), 'for no node';
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

    set_faults($file, "$fault:kill:3");
    push @all, send_all($front, "$fault: a node dies", 10);
    ok wait_exact(\@all, \@stores), "$fault: all delivered";
    is_exact($fault, \@all, \@stores, spread => 1);
    is $front->metric('spoor_cluster_possible_doubles_total'), 0,
        "$fault: nothing may be there twice";
    $_->stop for $front, @stores;
}

# Whoever has no answer sends the same again, until he has one.
for my $fault ('sender.before_send', 'sender.after_answer',
    'sender.before_answer') {
    ($front, @stores) = cluster(2);
    my $file = $front->dir . '/faults';
    $front->stop;
    $front->{env}{SPOOR_FAULT_FILE} = $file;
    $front->start;
    set_faults($file, "$fault:kill:4");
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

# --- the front dies while it brings what waits --------------------------------

for my $fault ('queue.after_set_node', 'sender.before_send',
    'sender.after_answer', 'queue.after_done') {
    ($front, @stores) = cluster(2, workers => 1);
    my $file = $front->dir . '/faults';
    $front->stop;
    $front->{env}{SPOOR_FAULT_FILE} = $file;
    $front->start;
    $_->kill_all for @stores;
    my @all = send_all($front, "$fault: no nodes", 8);

    set_faults($file, "$fault:kill:1");
    $_->start for @stores;
    ok $front->wait_log(qr/worker 0 .*(?:killed|signal 9)/, 20),
        "$fault: a worker died";
    ok wait_exact(\@all, \@stores), "$fault: all delivered";
    ok wait_for(sub {
        return $front->metric('spoor_cluster_queue_parcels') == 0 }, 10),
        "$fault: nothing waits";
    is_exact("queue, $fault", \@all, \@stores, spread => 1);
    $_->stop for $front, @stores;
}

# A front stops while a node hangs.
for my $signal ('TERM', 'QUIT') {
    ($front, @stores) = cluster(2);
    my @all = send_all($front, "$signal: before", 3);
    my $workers = $stores[1]->pids->{worker};

    kill 'STOP', @$workers;
    push @all, send_all($front, "$signal: one hangs", 4);
    is $front->stop($signal), 0, "$signal: the front stops";
    kill 'CONT', @$workers;
    $front->start;
    ok wait_exact(\@all, \@stores), "$signal: all delivered";
    is_exact("front stopped with $signal", \@all, \@stores, spread => 1);
    $_->stop for $front, @stores;
}

# --- all of them one after the other -----------------------------------------

# Nodes are restarted, the front is reloaded, and somebody sends all the time.
{
    ($front, @stores) = cluster(3);
    my $file = $front->dir . '/sent';
    my $pid = fork();

    if ($pid == 0) {
        my ($gap, $last) = (0, time());
        open my $out, '>', $file or POSIX::_exit(1);
        while (!-e "$file.end") {
            my @spans = traces(6, 2);
            my $status = $front->post('/v1/traces', otlp_pb(@spans),
                $type{pb})->{status};
            next if $status != 200;
            $gap = time() - $last if time() - $last > $gap;
            $last = time();
            print $out "$_->{spanId}\n" for @spans;
        }
        print $out "gap $gap\n";
        close $out;
        POSIX::_exit(0);
    }
    for my $store (@stores) {
        $store->restart;
        $front->signal('HUP');
        sleep 0.3;
    }
    $stores[0]->kill_all;
    sleep 0.5;
    $stores[0]->start;
    sleep 0.5;
    open my $end, '>', "$file.end" or die "$file.end: $!\n";
    close $end;
    waitpid $pid, 0;
    open my $in, '<', $file or die "$file: $!\n";
    chomp(my @lines = <$in>);
    my ($gap) = map { /^gap (.*)/ ? $1 : () } @lines;
    my @all = map { { spanId => $_ } } grep { !/gap/ } @lines;
    diag sprintf 'rolling: %d spans, no answer for at most %.2f s',
        scalar @all, $gap;
    ok @all > 100, 'rolling: spans were stored all the time';
    ok wait_exact(\@all, \@stores), 'rolling: all delivered';
    is_exact('rolling', \@all, \@stores, spread => 1, of_these => 1);
    is $front->metric('spoor_cluster_possible_doubles_total'), 0,
        'rolling: nothing may be there twice';
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

# --- what a node refuses ------------------------------------------------------

# Larger than it takes in one piece.
{
    my $store = Test::Spoor->new(conf => { workers => 1,
        'internal_insert.max_request_size' => '1MiB' })->start;
    $front = Test::Spoor->new(conf => { %fast, workers => 1,
        storage_nodes => ['127.0.0.1:' . $store->port] })->start;
    my @small = send_all($front, 'small ones', 3);
    my @large = map { { %$_, name => join '', map { chr 33 + rand 90 }
        1 .. 1_400_000 } } traces(1, 1);
    my $reply = $front->post('/v1/traces', otlp_pb(@large), $type{pb});
    is $reply->{status}, 413, 'a span that is too large: 413';
    my @many = map { { %$_, name => join '', map { chr 33 + rand 90 }
        1 .. 60_000 } } traces(100, 1);
    $reply = $front->post('/v1/traces', otlp_pb(@many), $type{pb});
    is $reply->{status}, 200, '6 MB in pieces that the node takes';
    is_exact('large ones', [@small, @many], [$store]);
    like $front->log, qr/refuses 1 spans in \d+ bytes as too large/,
        'and the log says so';
    $_->stop for $front, $store;
}

# Too many new days at once are the fault of one sender.
{
    my @wide = map { Test::Spoor->new(conf => { workers => 1,
        'storage.retention' => '100y' })->start } 1 .. 2;
    $front = Test::Spoor->new(conf => { %fast, workers => 1,
        storage_nodes => [map { '127.0.0.1:' . $_->port } @wide] })->start;
    my @before = send_all($front, 'today', 5);
    my @spans = map { my $end = int(time()) - 86400 * $_; otlp_span(
        startTimeUnixNano => $end . '000000000',
        endTimeUnixNano => $end . '000000000') } 1 .. 300;
    my $reply = $front->post('/v1/traces', otlp_pb(@spans), $type{pb});
    is $reply->{status}, 429, '300 new days at once: later';
    cmp_ok $reply->{headers}{'retry-after'}, '>', 5, 'as the node says';
    my @others = send_all($front, 'others', 5);
    is_exact('others', [@before, @others], \@wide, of_these => 1);
    is $front->metric('spoor_cluster_queue_parcels'), 0, 'nothing waits';
    $_->stop for $front, @wide;
}

# --- fronts behind a front ----------------------------------------------------

{
    @stores = map { Test::Spoor->new(conf => { workers => 1 })->start } 1 .. 2;
    my @middle = map { Test::Spoor->new(conf => { %fast, workers => 1,
        storage_nodes => [map { '127.0.0.1:' . $_->port } @stores] })->start }
        1 .. 2;
    $front = Test::Spoor->new(conf => { %fast, workers => 1,
        storage_nodes => [map { '127.0.0.1:' . $_->port } @middle] })->start;
    my @all = send_all($front, 'two levels');
    is_exact('two levels', \@all, \@stores);
    my $old = '1000000000000000000';
    my @bad = map { { %$_, startTimeUnixNano => $old,
        endTimeUnixNano => $old } } traces(9, 1);
    my $reply = $front->post('/v1/traces', otlp_json(@bad),
        { otlp_type('json') });
    like $reply->{body}, qr/"rejectedSpans":"9"/,
        'two levels: rejected spans are counted';

    $middle[0]->kill_all;
    push @all, send_all($front, 'one in the middle is killed');
    $middle[0]->start;
    kill 'STOP', @{$stores[0]->pids->{worker}};
    push @all, send_all($front, 'a node hangs', 10);
    kill 'CONT', @{$stores[0]->pids->{worker}};
    $stores[1]->kill_all;
    push @all, send_all($front, 'a node is killed', 10);
    $stores[1]->start;
    ok wait_exact(\@all, \@stores), 'two levels: all delivered';
    is_exact('two levels, after all', \@all, \@stores, spread => 1);
    $_->stop for $front, @middle, @stores;
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

# It takes all and says nothing, half of it, or what a proxy says of a node
# that did so.
for my $case (['silence', ''],
    ['half an answer', "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nspoor1\n"],
    ['too few answers', "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nspoor1\n"],
    ['a proxy', "HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad"]) {
    my ($name, $text) = @$case;
    my ($pid, $port) = imitation($text);
    my $store = Test::Spoor->new(conf => { workers => 1 })->start;
    $front = Test::Spoor->new(conf => { %fast, workers => 1,
        'cluster.unknown_timeout' => '2s',
        storage_nodes => ["127.0.0.1:$port", '127.0.0.1:' . $store->port] })
        ->start;
    my @all = send_all($front, $name, 4);

    ok $front->metric('spoor_cluster_unknown_parcels_total') > 0,
        "$name: fates that are not known";
    ok wait_exact(\@all, [$store], 30), "$name: another node gets them";
    is_exact($name, \@all, [$store]);
    ok $front->metric('spoor_cluster_possible_doubles_total') > 0,
        "$name: counted";
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
    ['HTTP/1.1 302 Go', 'elsewhere', qr/302 to/],
    ['HTTP/1.1 429 Busy', 'later', qr/takes no spans: .*429 to/]) {
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
