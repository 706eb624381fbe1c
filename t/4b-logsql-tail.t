# SPDX-License-Identifier: BSD-2-Clause
#
# Live tailing: rows of all workers, each once, late ones too; what a tail
# refuses; clients that leave; a stop does not wait for it.

use strict;
use warnings;

use IO::Select;
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time sleep);

my $json = JSON::PP->new->utf8;
my $spoor = Test::Spoor->new(conf => { workers => 3,
    'search.max_query_len' => '1MiB' });

$spoor->start;

# A connection that tails; offset and start_offset as given.
sub tail {
    my (%arg) = (refresh_interval => '50ms', offset => '0s', @_);
    my $socket = $spoor->connect;
    my $query = join '&', map { "$_=" . uri($arg{$_}) } sort keys %arg;

    print $socket "GET /select/logsql/tail?$query HTTP/1.1\r\nHost: a\r\n\r\n";
    return { socket => $socket, data => '' };
}

# Reads until the text matches, or for so many seconds.
sub read_until {
    my ($tail, $wanted, $seconds) = @_;
    my $select = IO::Select->new($tail->{socket});
    my $until = time() + ($seconds || 10);

    while ($tail->{data} !~ $wanted && time() < $until) {
        next unless $select->can_read(0.05);
        sysread $tail->{socket}, $tail->{data}, 65536, length $tail->{data}
            or return 0;
    }
    return $tail->{data} =~ $wanted;
}

sub ended {
    my ($ago, $name, @more) = @_;
    my $ns = sprintf '%d', (time() - $ago) * 1e9;

    return resource_spans('tailed', otlp_span(name => $name,
        startTimeUnixNano => $ns, endTimeUnixNano => $ns, @more));
}

sub names { return $_[0]{data} =~ /"name":"([^"]+)"/g }

# --- rows ------------------------------------------------------------------------

post_traces($spoor, ended(3, 'before'), ended(60, 'old'));
my $tail = tail(query => '*', start_offset => '30s');
ok read_until($tail, qr/"before"/), 'rows from before the tail';
like $tail->{data}, qr{^HTTP/1.1 200 }, 'status';
like $tail->{data}, qr{Content-Type: application/x-ndjson\r}i, 'type';

# New connections come to all workers.
post_traces($spoor, ended(0, "live$_")) for 1 .. 30;
ok read_until($tail, qr/"live30"/), 'rows that come in';
post_traces($spoor, ended(4, 'late'));
ok read_until($tail, qr/"late"/), 'a row that comes late';
sleep 0.5;
read_until($tail, qr/^never/, 0.3);
is_deeply [sort { $a cmp $b } names($tail)],
    [sort 'before', 'late', map { "live$_" } 1 .. 30], 'each row once';
is $spoor->metric('vt_live_tailing_requests'), 1, 'tails are counted';

# What others read is no figure of this one.
for (1 .. 6) {
    my $figures = tail(query => 'name:=nosuch | '
        . 'union (name:=nosuch | query_stats)');

    ok read_until($figures, qr/"RowsFound":"0"/), 'figures of its own rows';
}

# --- pipes, tenants, hidden fields --------------------------------------------

my $pipes = tail(query => 'name:="b1" or name:="b2" | fields _time, name, '
    . 'kind | rename name as n', hidden_fields_filters => 'kind');
my $other = tail(query => '*', 'extra_filters' => 'name:=b2');
read_until($pipes, qr/\r\n\r\n/);
read_until($other, qr/\r\n\r\n/);
post_traces($spoor, ended(0, 'b1', kind => 2), ended(0, 'b2', kind => 2));
ok read_until($pipes, qr/"n":"b2"/), 'pipes of a tail';
unlike $pipes->{data}, qr/"kind"/, 'without hidden fields';
ok read_until($other, qr/"b2"/), 'extra filters';
unlike $other->{data}, qr/"b1"/, 'and nothing else';

# --- order within a round -----------------------------------------------------

my $slow = tail(query => 'name:~"^r[0-9]"', refresh_interval => '2s',
    start_offset => '30s');
read_until($slow, qr/\r\n\r\n/);
sleep 0.3;
post_traces($spoor, ended(2 - $_ / 10, "r$_")) for 3, 1, 4, 2, 5;
ok read_until($slow, qr/"r5"/), 'a round of several rows';
is_deeply [names($slow)], [map { "r$_" } 1 .. 5], 'by time';

# --- refused -------------------------------------------------------------------

for my $bad ([query => '* | count()'], [query => '* | sort by (_time)'],
    [query => '* | limit 3'], [query => '('], [query => ''],
    [query => '* | fields name'], [query => '* | delete _time'],
    [query => '*', refresh_interval => '0s'],
    [query => '*', refresh_interval => '-1s'],
    [query => '*', offset => 'x'], [query => '*', start_offset => '-5s']) {
    my %arg = @$bad;
    my $reply = $spoor->get('/select/logsql/tail?' . join '&',
        map { "$_=" . uri($arg{$_}) } sort keys %arg);

    is $reply->{status}, 400, "refused: @$bad";
}
is $spoor->get('/select/logsql/tail?query=*', { AccountID => 'x' })
    ->{status}, 400, 'refused: a bad tenant';

# --- odd arguments, and many rounds ----------------------------------------------

my $ancient = tail(query => '*', offset => '285y', start_offset => '285y');
ok read_until($ancient, qr{^HTTP/1.1 200 .*\r\n\r\n}s), 'times of long ago';
close $ancient->{socket};

# Text that has to be decoded is not kept of every round.
my $form = 'refresh_interval=10ms&offset=0s&query=name:=%22many%22'
    . '+' x 900_000;
my $many = { socket => $spoor->connect, data => '' };
print {$many->{socket}} "POST /select/logsql/tail HTTP/1.1\r\nHost: a\r\n"
    . "Content-Type: application/x-www-form-urlencoded\r\n"
    . 'Content-Length: ' . length($form) . "\r\n\r\n$form";
read_until($many, qr/\r\n\r\n/);
sleep 6;
post_traces($spoor, ended(0, 'many'));
ok read_until($many, qr/"many"/, 10), 'a long query, many rounds';
close $many->{socket};

# --- ends ----------------------------------------------------------------------

close $_->{socket} for $pipes, $other, $slow;
ok wait_for(sub { $spoor->metric('vt_live_tailing_requests') == 1 }, 10),
    'tails end with their clients'
    or diag $spoor->metric('vt_live_tailing_requests');
my $start = time();
$spoor->signal('QUIT');
ok read_until($tail, qr/\r\n0\r\n\r\n$/), 'a stop ends the answer properly';
is $spoor->wait_exit, 0, 'the server stops';
cmp_ok time() - $start, '<', 4, 'soon';

# --- a place as queries have -----------------------------------------------------

$spoor = Test::Spoor->new(conf => { workers => 1,
    'search.max_concurrent_requests' => 1 });
$spoor->start;
$tail = tail(query => '*');
read_until($tail, qr/\r\n\r\n/);

# Nobody reads its answer, so it keeps the only place.
my $greedy = $spoor->connect;
print $greedy 'GET /select/logsql/query?query='
    . uri('* | generate_sequence 20000000') . " HTTP/1.1\r\nHost: a\r\n\r\n";
sleep 1;
post_traces($spoor, ended(0, 'placed'));
ok !read_until($tail, qr/"placed"/, 1.5), 'no round without a place';
close $greedy;
ok read_until($tail, qr/"placed"/), 'a round when there is one';
close $tail->{socket};
$spoor->stop;
done_testing;
