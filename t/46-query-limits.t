# SPDX-License-Identifier: BSD-2-Clause
#
# What a query may take: memory, time, a place among those that run; and what
# becomes of it when its client leaves.

use strict;
use warnings;

use Test::More;
use Test::Spoor qw(wait_for);
use Test::Traces;
use Time::HiRes qw(time);

my $spoor = Test::Spoor->new(conf => {
    'search.max_query_memory' => '4MiB',
    'search.max_concurrent_requests' => 1,
    'search.max_queue_duration' => '100ms' });

$spoor->start;
is $spoor->spoorctl('gen', '--traces', 10_000, '--batch', 200)->{status}, 0,
    'spans';
ok flush($spoor), 'in parts';

sub target {
    my ($query, %args) = @_;

    return '/select/logsql/query?query=' . uri($query)
        . join '', map { "&$_=" . uri($args{$_}) } sort keys %args;
}

sub query { return $spoor->get(target(@_)) }

# --- memory ---

for my $query ('* | sort by (duration)', '* | uniq by (span_id)',
    '* | stats by (span_id) count() n', '* | stats count_uniq(span_id) n',
    '* | stats uniq_values(span_id) n') {
    my $reply = query($query);

    is $reply->{status}, 400, "too large: $query";
    like $reply->{body}, qr/query needs (?:more than 4 MiB|too much|more)/,
        'it says so: ' . substr $reply->{body}, 0, 80;
}
is query('* | sort by (duration desc) limit 10')->{status}, 200,
    'ten rows need little';
is query('* | stats by (name) count() n')->{status}, 200, 'and groups';

# --- time ---

# Several seconds: no id has such a text, and that takes long to find out.
my $slow = join(' or ', map { "span_id:~\"[^g]*[^h]*[^i$_]*[g-z]\"" } 1 .. 40)
    . ' | count() n';
my $began = time;
my $reply = query($slow, timeout => '20ms');
is $reply->{status}, 503, 'too slow';
like $reply->{body}, qr/took too long/, "it says so: $reply->{body}";
cmp_ok time - $began, '<', 5, 'soon';

# --- places ---

my @sockets = map { $spoor->connect } 1 .. 8;
for my $socket (@sockets) {
    syswrite $socket, 'GET ' . target($slow, timeout => '1s')
        . " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
}
my %count;
for my $socket (@sockets) {
    my $text = $spoor->read_raw($socket, seconds => 20);
    my ($status) = $text =~ m{^HTTP/1.1 (\d+)};

    $count{$status || 'none'}++;
    next unless $text =~ /max_concurrent_requests/;
    $count{refused}++;
    $count{again}++ if $text =~ /^retry-after: \d/mi;
}
cmp_ok $count{refused} || 0, '>', 0, 'more than one at a time are refused';
is $count{again}, $count{refused}, 'and may come again';
is $count{none}, undef, 'all have an answer';
cmp_ok $spoor->metric('vt_concurrent_select_limit_reached_total'), '>', 0,
    'counted';
is query('* | count() n')->{status}, 200, 'then there is a place';

# --- clients that leave ---

for my $round (1 .. 5) {
    my $socket = $spoor->connect;

    syswrite $socket, 'GET ' . target($slow, timeout => '20s')
        . " HTTP/1.1\r\nHost: a\r\n\r\n";
    select undef, undef, undef, 0.02 * $round;
    close $socket;
    ok wait_for(sub { query('* | count() n')->{status} == 200 }, 5),
        'its place is free again';
}

$spoor->stop;
done_testing;
