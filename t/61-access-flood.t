# SPDX-License-Identifier: BSD-2-Clause
#
# Passwords that take long: checked once, remembered, and no flood of wrong
# ones keeps out those who are known or who come from elsewhere.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use Test::More;
use Test::Http2 qw(:all);
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $spoor = Test::Spoor->new(conf => {
    'workers' => 1,
    'auth.username' => 'root',
    'auth.password' => 'root-pw',
});
open my $out, '>', $spoor->dir . '/users' or die "$!\n";
# 10: about 60 ms each.
print $out "$_:" . crypt("$_-pw", '$2b$10$abcdefghijklmnopqrstuv') . "\n"
    for qw(ann bob carl dora);
close $out;
chmod 0600, $spoor->dir . '/users';
$spoor->write_conf('auth.users_file' => $spoor->dir . '/users');
$spoor->start;

my $path = '/select/jaeger/api/services';

sub basic { return 'Basic ' . encode_base64("$_[0]:$_[1]", '') }

# A request that was sent and not read; from is an address of this machine.
sub begin {
    my ($user, $password, $from) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp',
        LocalAddr => $from || '127.0.0.1', PeerAddr => '127.0.0.1',
        PeerPort => $spoor->port) or die "connect: $!\n";

    syswrite $socket, "GET $path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        . 'Authorization: ' . basic($user, $password) . "\r\n\r\n";
    return $socket;
}

sub status_of {
    my ($socket) = @_;
    my $text = $spoor->read_raw($socket, seconds => 60);

    return $text =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'none';
}

sub ask { return status_of(begin(@_)) }

sub checked {
    my $text = $spoor->get('/metrics',
        { Authorization => basic('root', 'root-pw') })->{body};

    return $text =~ /^spoor_http_passwords_checked_total (\d+)$/m ? $1 : -1;
}

# --- once ------------------------------------------------------------------------

my @sockets = map { begin('ann', 'ann-pw') } 1 .. 50;
my %got;
$got{status_of($_)}++ for @sockets;
is_deeply \%got, { 200 => 50 }, '50 requests of one user at once';
is checked(), 1, 'are one check';
is ask('ann', 'ann-pw'), 200, 'a later one';
is checked(), 1, 'is remembered';
%got = ();
$got{ask('ann', 'wrong')}++ for 1 .. 20;
is_deeply \%got, { 401 => 20 }, 'one wrong password 20 times';
is checked(), 2, 'is one check, too';

# --- a flood ---------------------------------------------------------------------

my $end = time() + 4;
my ($n, @flood, %flood, %honest, @took) = (0);
my ($new, $new_status, $new_took);
while (time() < $end) {
    push @flood, begin('user' . $n++, 'wrong' . rand()) while @flood < 64;
    if (!$new) { # who is not known yet, from another address
        my $start = time();
        $new_status = ask('bob', 'bob-pw', '127.0.0.2');
        $new_took = time() - $start;
        $new = 1;
    }
    for my $who (['root', 'root-pw'], ['ann', 'ann-pw']) {
        my $start = time();
        $honest{ask(@$who)}++;
        push @took, time() - $start;
    }
    for my $socket (IO::Select->new(@flood)->can_read(0)) {
        $flood{status_of($socket)}++;
        @flood = grep { $_ != $socket } @flood;
    }
}
$flood{status_of($_)}++ for @flood;
is_deeply [keys %honest], [200], 'who is known gets answers in a flood';
@took = sort { $a <=> $b } @took;
cmp_ok $took[-1], '<', 2, 'soon';
is $new_status, 200, 'and so does who comes from elsewhere';
cmp_ok $new_took, '<', 4, 'soon, too';
is_deeply [grep { !/^(?:401|503)$/ } keys %flood], [], 'the flood gets 401 '
    . 'or 503';
cmp_ok $flood{503} || 0, '>', 0, 'most of it without a check';
diag sprintf '%d wrong passwords: %s; %d honest requests, slowest %.0f ms; '
    . 'a new user took %.0f ms', $n,
    join(', ', map { "$_: $flood{$_}" } sort keys %flood), scalar @took,
    1000 * $took[-1], 1000 * $new_took;
my $lines = () = $spoor->log =~ /requests refused since/g;
cmp_ok $lines, '<=', 4, 'the log has a line now and then';
is ask('ann', 'ann-pw'), 200, 'right ones were not forgotten';

# --- who leaves ------------------------------------------------------------------

for my $i (1 .. 20) {
    close begin('carl', "wrong$i");
    my $conn = Test::Http2->connect($spoor->port);
    my $id = $conn->request('POST', '/v1/traces', [authorization =>
        basic('dora', "wrong$i"), 'content-type' => 'application/json'],
        open => 1);
    $conn->data($id, 'x' x 100_000, 0);
    $conn->frame(RST_STREAM, 0, $id, pack 'N', 8) if $i % 2;
    $conn->close if $conn->can('close') && $i % 3;
}
sleep 1;
is ask('ann', 'ann-pw'), 200, 'clients that leave while they wait';
is ask('carl', 'carl-pw'), 200, 'keep nobody out';

# Data that comes while a password is checked, more than a window of it.
my $conn = Test::Http2->connect($spoor->port);
my $body = '{"resourceSpans":[]}' . ' ' x 3_000_000;
for my $case (['dora', 'dora-pw', 200], ['dora', 'x', 401]) {
    my ($user, $password, $want) = @$case;
    my $reply = $conn->post('/v1/traces', $body, [authorization =>
        basic($user, $password), 'content-type' => 'application/json'], 30);
    is $reply->{status}, $want, "3 MB behind a password, $want";
}
is $conn->get($path, [authorization => basic('ann', 'ann-pw')])->{status},
    200, 'and the connection goes on';

# A stop does not wait for checks that nobody hears of.
my @last = map { begin("last$_", "wrong", "127.0.0.$_") } 1 .. 32;
sleep 0.1;
my $start = time();
is $spoor->stop, 0, 'a stop with passwords that wait';
cmp_ok time() - $start, '<', 9, 'ends in time';
done_testing;
