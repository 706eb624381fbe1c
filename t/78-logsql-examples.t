# SPDX-License-Identifier: BSD-2-Clause
#
# Every example of the tables of LogsQL (src/query/*.def), which the manual
# and the reference print, runs on a real server.

use strict;
use warnings;

use Test::More;
use Test::Spoor;
use Test::Traces;

my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $spoor = Test::Spoor->new;

$spoor->start;
is run_command([spoorctl_bin(), 'gen', '--url', $spoor->url, '--traces', 40,
    '--quiet'])->{status}, 0, 'load';

my $rows = run_command(["$objdir/t/helper/print_docs", 'examples'])->{out};
my $n = 0;
for my $line (split /\n/, $rows) {
    my ($name, $query) = split /\t/, $line, 2;

    $n++;
    isnt $query, '', "$name: has an example";
    my $reply = $spoor->post('/select/logsql/query', form({ query => $query,
        start => '1h', limit => 10 }),
        { 'Content-Type' => 'application/x-www-form-urlencoded' });
    is $reply->{status}, 200, "$name: $query" or diag $reply->{body};
}
cmp_ok $n, '>', 60, "$n examples";

$spoor->stop;
done_testing;

sub form {
    my ($args) = @_;

    return join '&', map { "$_=" . uri($args->{$_}) } sort keys %$args;
}
