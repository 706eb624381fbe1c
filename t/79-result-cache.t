# SPDX-License-Identifier: BSD-2-Clause
#
# Results of immutable parts are kept: the same question again gives the same
# answer, what was added since is in it, and other times, filters or tenants
# find nothing that is not theirs.

use strict;
use warnings;

use Test::More;
use Test::Spoor;
use Test::Traces;

sub form {
    my ($args) = @_;

    return join '&', map { "$_=" . uri($args->{$_}) } sort keys %$args;
}

# The rows, sorted, as one text.
sub ask {
    my ($spoor, $query, %args) = @_;
    my $tenant = delete $args{tenant} || 0;
    my $reply = $spoor->post('/select/logsql/query',
        form({ query => $query, %args }),
        { 'Content-Type' => 'application/x-www-form-urlencoded',
          AccountID => $tenant });

    is $reply->{status}, 200, $query or diag $reply->{body};
    return join "\n", sort split /\n/, $reply->{body};
}

sub metric {
    my ($spoor, $name) = @_;
    my ($n) = $spoor->get('/metrics')->{body} =~ /^$name (\d+)/m;

    return $n || 0;
}

sub hits { return metric($_[0], 'spoor_result_cache_hits_total') }

sub load {
    my ($spoor, $seed) = @_;

    is run_command([spoorctl_bin(), 'gen', '--url', $spoor->url, '--traces',
        1500, '--seed', $seed, '--quiet'], seconds => 120)->{status}, 0,
        "load $seed";
    is $spoor->post('/internal/force_flush')->{status}, 200, 'flush';
    return;
}

my @queries = (
    'duration:>1ms | stats by (name) count() n, max(duration) m',
    '* | stats by (name) sum(flags) s, avg(duration) a, min(duration) i',
    'kind:=2 | stats by (_time:1m) count() n, count_uniq(span_id) u',
    'name:=GET | stats quantile(0.5, duration) q, uniq_values(kind) v, count(a) c',
    '* | stats by (kind) count() if (duration:>2ms) n, median(name) m',
);

my $spoor = Test::Spoor->new(args => ['-workers=1']);
my $plain = Test::Spoor->new(args => ['-workers=1', '-search.disableCache']);
for my $server ($spoor, $plain) {
    $server->start;
    load($server, 1);
}

my %first;
for my $query (@queries) {
    $first{$query} = ask($spoor, $query);
    my $before = hits($spoor);
    is ask($spoor, $query), $first{$query}, 'the same again';
    cmp_ok hits($spoor), '>', $before, 'from what was kept';
}
cmp_ok metric($spoor, 'spoor_result_cache_bytes'), '>', 0, 'bytes';

# --- nothing else is found ------------------------------------------------------

my $end = time() - 300;
for my $query (@queries) {
    isnt ask($spoor, $query, tenant => 7), $first{$query}, 'another tenant';
    isnt ask($spoor, $query, end => $end), $first{$query}, 'another time';
    isnt ask($spoor, $query, extra_filters => 'duration:>3ms'), $first{$query},
        'another filter';
}

# Shifted by half a day each half is the other one.
my @halves = ('[00:00, 12:00)', '[12:00, 24:00)');
my @plain = map { ask($spoor, "_time:day_range$_ | stats count() n") } @halves;
my @moved = map { ask($spoor, 'options(time_offset=12h) '
    . "_time:day_range$_ | stats count() n") } @halves;
is_deeply \@moved, [reverse @plain], 'options(time_offset=12h)';
isnt $plain[0], $plain[1], 'which are not the same';
my $relative = '_time:1s | stats count() n';
is ask($spoor, $relative), ask($spoor, $relative), 'a time that moves on';

my $hits = hits($spoor);
is ask($spoor, $queries[0], nocache => 1), $first{$queries[0]}, 'nocache=1';
is hits($spoor), $hits, 'uses nothing';

# --- what is added ---------------------------------------------------------------

my $count = '* | stats by (kind) count() n, sum(duration) s, max(span_id) m';
ask($spoor, $count) for 1 .. 2;
load($spoor, 2);
load($plain, 2);
my $before = hits($spoor);
my $sum = ask($spoor, $count);
cmp_ok hits($spoor), '>', $before, 'old parts from what was kept';
my ($n) = ask($spoor, '* | count() n') =~ /"n":"(\d+)"/;
my $all = 0;
$all += $_ for $sum =~ /"n":"(\d+)"/g;
is $all, $n, 'and new ones counted';

# A merge makes other parts of the same rows.
is $spoor->post('/internal/force_merge')->{status}, 200, 'merge';
is ask($spoor, $count), $sum, 'the same behind a merge';
is ask($spoor, $count), $sum, 'and again';

# --- switched off ------------------------------------------------------------------

for my $query (@queries) {
    my $answer = ask($plain, $query);
    is ask($plain, $query), $answer, 'no cache: the same';
}
is hits($plain), 0, 'nothing is kept';
is metric($plain, 'spoor_result_cache_misses_total'), 0, 'nor looked for';

$spoor->stop;
$plain->stop;
done_testing;
