# SPDX-License-Identifier: BSD-2-Clause
#
# spoorctl tail goes on when its connection is cut: no row is lost, none comes
# twice, and it says so.

use strict;
use warnings;

use POSIX ();
use Test::More;
use Test::Otlp;
use Test::Spoor qw(wait_for spoorctl_bin);
use Test::Traces;
use Time::HiRes qw(sleep time);

my $spoor = Test::Spoor->new(conf => { workers => 2 });
my $dir = $spoor->dir;

$spoor->start;

my $tail = fork;
die "fork: $!\n" unless defined $tail;
if ($tail == 0) {
    open STDOUT, '>', "$dir/out" or POSIX::_exit(1);
    open STDERR, '>', "$dir/err" or POSIX::_exit(1);
    exec spoorctl_bin(), 'tail', '--url', $spoor->url,
        'name:fresh* | fields _time, name' or POSIX::_exit(127);
}

sub text_of {
    my ($name) = @_;

    open my $in, '<', "$dir/$name" or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

my $sent = 0;

# So many spans that end now.
sub send_some {
    my ($n) = @_;
    my $ns = sprintf '%d', time() * 1e9;

    is post_traces($spoor, resource_spans('live', map {
        otlp_span(name => 'fresh' . ++$sent, startTimeUnixNano => $ns,
            endTimeUnixNano => $ns) } 1 .. $n))->{status}, 200,
        "$n more spans";
    return;
}

sub rows { return text_of('out') =~ /"name":"fresh(\d+)"/g }

# All that was sent is there, once.
sub is_whole {
    my ($name) = @_;

    ok wait_for(sub { my @rows = rows(); @rows >= $sent }, 40),
        "$name: all are shown";
    sleep 2;
    is join(' ', sort { $a <=> $b } rows()), join(' ', 1 .. $sent),
        "$name: each once";
    return;
}

ok wait_for(sub { $spoor->get('/metrics')->{body} =~
    /^vt_live_tailing_requests\S* 1/m }, 20), 'a tail runs';
send_some(3);
is_whole('the beginning');

# --- the server is killed and comes back ---------------------------------------

send_some(2);
is_whole('before the cut');
$spoor->signal('KILL');
ok wait_for(sub { text_of('err') =~ /trying again/ }, 20), 'it notices';
$spoor->stop;
$spoor->start;
send_some(4);
is_whole('behind the cut');
like text_of('err'), qr/^spoorctl: connected again$/m, 'it says so';

# --- a worker is killed, with its connection ----------------------------------------

send_some(1);
kill 'KILL', @{$spoor->pids->{worker}};
send_some(5) if wait_for(sub { $spoor->get('/health')->{status} == 200 }, 20);
is_whole('a worker is gone');

# --- a server that restarts in good order --------------------------------------------

send_some(2);
is $spoor->stop, 0, 'stops';
sleep 1.5;
$spoor->start;
send_some(3);
is_whole('a restart');
is scalar(() = text_of('err') =~ /trying again/g), 3, 'three cuts were told';

# --- errors that stay ------------------------------------------------------------------

kill 'TERM', $tail;
waitpid $tail, 0;
my $run = $spoor->spoorctl('tail', 'a | stats count()');
isnt $run->{status}, 0, 'a wrong query ends it';
like $run->{err}, qr/needs all rows/, 'with the reason';
$spoor->stop;
$run = $spoor->spoorctl('tail', '*');
isnt $run->{status}, 0, 'so does a server that was never there';
done_testing;
