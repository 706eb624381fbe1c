# SPDX-License-Identifier: BSD-2-Clause
#
# Damaged data: an answer is marked as partial, unless the argument
# allow_partial_response or the query's own option says that an error is
# better.

use strict;
use warnings;

use File::Find;
use JSON::PP ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $spoor = Test::Spoor->new(args => ['-workers=1', '-search.disableCache']);

$spoor->start;
is post_traces($spoor, resource_spans('cart', map { otlp_span(name => "n$_",
    spanId => sprintf('%016x', $_), attributes => attributes(text => 'x' x 500
    . $_)) } 1 .. 500))->{status}, 200, 'spans';
ok flush($spoor), 'in a part';
is $spoor->stop, 0, 'stops';

# --- a byte in the middle of its data ------------------------------------------

my @parts;
find({ no_chdir => 1, wanted => sub {
    push @parts, $_ if -f && /\.l\d$/;
} }, $spoor->data_dir . '/partitions');
is scalar @parts, 1, 'one part';
open my $file, '+<:raw', $parts[0] or die "$parts[0]: $!\n";
my $bytes = do { local $/; <$file> };
my $answer = '';
for my $eighth (1 .. 7) {
    my $at = int(length($bytes) * $eighth / 8);

    seek $file, $at, 0;
    print {$file} ~substr $bytes, $at, 1;
    $file->flush;
    $spoor->start;
    $answer = $spoor->get('/select/logsql/query?query='
        . uri('* | fields name, "span_attr:text"'));
    last if $answer->{status} == 200
        && ($answer->{headers}{'spoor-partial'} || '') eq 'true';
    $spoor->stop;
    seek $file, $at, 0;
    print {$file} substr $bytes, $at, 1;
    $file->flush;
}
is $answer->{status}, 200, 'an answer';
is $answer->{headers}{'spoor-partial'}, 'true', 'that is marked';

# --- who does not want it ----------------------------------------------------------

sub status_of {
    my ($query, %arg) = @_;
    my $reply = $spoor->get('/select/logsql/query?' . join '&',
        'query=' . uri("$query | fields name, \"span_attr:text\""),
        map { "$_=$arg{$_}" } sort keys %arg);

    return join ' ', $reply->{status},
        $reply->{status} == 200 ? () : $reply->{body} =~ /damaged data/g;
}

is status_of('*'), '200', 'by default';
is status_of('*', allow_partial_response => 1), '200', 'when asked for';
is status_of('*', allow_partial_response => 0), '502 damaged data',
    'an error is better';
is status_of('options(allow_partial_response=true) *'), '200',
    'an option allows it';
is status_of('options(allow_partial_response=false) *'), '502 damaged data',
    'an option refuses it';
is status_of('options(allow_partial_response=true) *',
    allow_partial_response => 0), '200', 'the option counts';
is status_of('options(allow_partial_response=false) *',
    allow_partial_response => 1), '502 damaged data', 'whatever it says';
is status_of('name:in(options(allow_partial_response=false) * | '
    . 'fields name, "span_attr:text" | fields name)'), '502 damaged data',
    'also of a query inside';
for my $path ('services', 'traces?service=cart', 'dependencies',
    'traces/' . unpack 'H*', pack 'C16', 1 .. 16) {
    my $sign = $path =~ /\?/ ? '&' : '?';
    my $loose = $spoor->get("/select/jaeger/api/$path");
    my $strict = $spoor->get(
        "/select/jaeger/api/$path${sign}allow_partial_response=0");
    my $is_partial = $loose->{body} =~ /damaged/;

    note "$path: $loose->{status}, partial: " . ($is_partial ? 1 : 0);
    is $strict->{status}, $is_partial ? 502 : $loose->{status}, "Jaeger: $path";
}
$spoor->stop;
done_testing;
