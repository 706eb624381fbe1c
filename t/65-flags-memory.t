# SPDX-License-Identifier: BSD-2-Clause
#
# What hungry queries have held goes back to the kernel when they have ended,
# and nobody waits for that.

use strict;
use warnings;

use Test::More;
use Test::Spoor qw(wait_for);
use Test::Traces;

plan skip_all => 'sanitizers have a heap of their own'
    if ($ENV{SPOOR_OBJDIR} || '') =~ /asan|tsan/;

my $spoor = Test::Spoor->new(
    conf => { workers => 1, 'log.level' => 'DEBUG',
        'search.max_query_memory' => '256MiB',
        'memory.allowed_bytes' => '4GiB' });

# MiB of memory that is in no file.
sub own {
    my ($pid) = @{$spoor->pids->{worker}};

    open my $in, '<', "/proc/$pid/smaps_rollup" or return 0;
    while (<$in>) {
        return $1 / 1024 if /^Pss_Anon:\s+(\d+)/;
    }
    return 0;
}

sub query {
    return $spoor->get('/select/logsql/query?nocache=1&query='
        . uri($_[0]))->{status};
}

$spoor->start;
is $spoor->spoorctl('gen', '--traces', 40_000, '--quiet')->{status}, 0,
    'spans';
ok flush($spoor), 'in parts';
query('* | stats by (name) count() n') for 1 .. 3;
my $before = own();
my $most = 0;
for my $query ('* | stats by (span_id) count() n', '* | sort by (duration)',
    '* | fields span_id, duration | sort by (duration)',
    '* | stats values(span_id) v', '* | uniq by (span_id, name)',
    '* | stats json_values() v') {
    like query($query), qr/^(?:200|400)$/, $query;
    $most = own() if own() > $most;
}
cmp_ok $most, '>', $before + 32, sprintf 'they held much: %d MiB from %d',
    $most, $before;
# Pieces of parts that were read are kept, within a budget of their own.
my $given = wait_for(sub { own() < $before + ($most - $before) / 3 }, 20);
ok $given, sprintf 'and gave it back: %d MiB', own();
my @took = $spoor->log =~ /memory of queries given back in (\d+) us/g;
cmp_ok scalar(@took), '>', 0, 'which took ' . join(', ', @took) . ' us';

# --- small ones are left alone ---

my $times = scalar @took;
query('* | limit 1') for 1 .. 20;
sleep 2;
my @again = $spoor->log =~ /(memory of queries given back)/g;
is scalar @again, $times, 'small queries give nothing back';
$spoor->stop;
done_testing;
