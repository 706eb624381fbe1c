# SPDX-License-Identifier: BSD-2-Clause
#
# spoorctl query, tail and its shell: rows as a table, JSON, CSV and logfmt;
# errors with a caret; completion and history on a terminal.

use strict;
use warnings;

use IO::Socket::INET;
use POSIX ();
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

my $spoor = Test::Spoor->new;
my $ctl = spoorctl_bin();
my $dir = $spoor->dir;
my %env = (SPOOR_URL => $spoor->url, HOME => "$dir/home", TERM => 'xterm');

sub ctl {
    my ($words, %with) = @_;
    return run_command([$ctl, @$words], env => \%env, %with);
}

mkdir "$dir/home";
$spoor->start;
is ctl(['gen', '--traces', 30, '--seed', 7, '--quiet'])->{status}, 0, 'load';

# --- one query -----------------------------------------------------------------

my $run = ctl(['query', '*', '|', 'count()', 'n']);
is $run->{status}, 0, 'query: status';
my ($count) = $run->{out} =~ /^\{"n":"(\d+)"\}\n$/;
cmp_ok $count || 0, '>', 100, 'words are one query; JSON lines elsewhere';

$run = ctl(['query', '--format', 'table',
    '* | stats by (kind) count() n | sort by (kind)']);
my @lines = split /\n/, $run->{out};
like $lines[0], qr/^kind +n$/, 'table: head';
like $lines[1], qr/^\d +\d+$/, 'table: a row';
unlike $run->{out}, qr/\033/, 'no colours where there is no terminal';

$run = ctl(['query', '--format', 'long', '--limit', 1, '--stats', '*']);
like $run->{out}, qr/^-- 1 --\n_time +\d{4}-/, 'long: a field a line';
like $run->{err}, qr/^1 rows, \d+ bytes, [\d.]+ s$/m, '--stats';

$run = ctl(['query', '--format', 'logfmt', '--limit', 1,
    'name:"POST /cart/checkout" | fields name, kind']);
is $run->{out}, qq(name="POST /cart/checkout" kind=2\n), 'logfmt';

$run = ctl(['query', 'name:=nosuch']);
is_deeply [@$run{qw(status out)}], [1, ''], 'no rows: status 1';

$run = ctl(['query', '--since', '1s', '--tenant', '5:6', '*']);
is $run->{status}, 1, 'another tenant has none';

# --- mistakes ------------------------------------------------------------------

$run = ctl(['query', 'duration:>5ms | stats by (name) cuont()']);
is $run->{status}, 2, 'mistake: status';
is $run->{err}, <<'END', 'the query and a caret';
spoorctl: position 33: unknown stats function 'cuont'; did you mean 'count'?
  duration:>5ms | stats by (name) cuont()
                                  ^
END
$run = ctl(['query', "name:\xc3\xa4\xc3\xb6 | | count()"]);
like $run->{err}, qr/\n  name:\S+ \| \| count\(\)\n {12}\^\n/,
    'a caret counts characters';
$run = ctl(['query']);
like $run->{err}, qr/^usage: spoorctl query/, 'no query';
for my $bad (['--format', 'xml'], ['--limit', 'x'], ['--since', 'soon'],
    ['--tenant', 'a']) {
    $run = ctl(['query', @$bad, '*']);
    is $run->{status}, 2, "@$bad: status";
    like $run->{err}, qr/bad value "\Q$bad->[1]\E"/, "@$bad: message";
}
$run = ctl(['query', '--url', 'http://127.0.0.1:1', '*']);
like $run->{err}, qr/^spoorctl: cannot connect/, 'no server';

# --- lines of a file -----------------------------------------------------------

$run = ctl(['shell'], stdin => join "\n", '* | count() n', '* | fields name |',
    'limit 2', '\help sort', '\help cuont', '\nosuch', '\values kind',
    '\format table', '* | uniq by (kind) | sort by (kind) | limit 1;',
    '\timing', 'kind:=9', '\quit', '* | count() m', '');
is $run->{status}, 1, 'shell: status of the last query';
like $run->{out}, qr/^\{"n":"$count"\}\n(\{"name":"[^"]+"\}\n){2}/,
    'lines, and one that goes on';
like $run->{out}, qr/^sort \[by\] .*\n  sorts rows\n  also: order\n/m,
    'help of a pipe';
like $run->{err}, qr/there is no 'cuont'; did you mean 'count'\?/,
    'help of none';
like $run->{err}, qr/^spoorctl: \\nosuch: \\help lists/m, 'no such command';
like $run->{out}, qr/^kind\n\d\n/m, 'table';
like $run->{out}, qr/^timing is on\nno rows\n0 rows, [\d.]+ s\n/m, 'timing';
unlike $run->{out}, qr/"m"/, 'nothing behind \quit';

$run = ctl(['shell'], stdin => join "\n", '\since 1s', '\limit 2', '*',
    '\since off', '* | fields kind', '\since never', '\fields',
    '\watch 1 * | count() w', '\watch x', '\format csv', '* | count() c',
    '\x', 'name:"POST /cart/checkout" | fields kind', '\format', '');
like $run->{out}, qr/^since is 1s\nlimit is 2\nno rows\nsince is off\n/,
    'since: how far back';
like $run->{out}, qr/^since is off\n(\{"kind":"\d"\}\n){2}[^{]/m,
    'limit: how many';
like $run->{err}, qr/^spoorctl: \\since: bad value "never"$/m, 'bad since';
like $run->{out}, qr/^\{"name":"_msg","hits":"\d+"\}$/m, 'fields';
is scalar(() = $run->{out} =~ /^\{"w":"\d+"\}$/mg), 1,
    'watch asks once where there is no terminal';
like $run->{err}, qr/^spoorctl: \\watch SECONDS QUERY$/m, 'bad watch';
like $run->{out}, qr/^c\r?\n\d+\r?\n/m, 'csv';
like $run->{out}, qr/^format is long\n-- 1 --\nkind  2\n/m, '\x';
like $run->{out}, qr/^format is long\n\z/m, 'format tells itself';

# --- rows as they come ---------------------------------------------------------

{
    my $file = "$dir/tail";
    my $tail = fork;

    die "fork: $!\n" unless defined $tail;
    if ($tail == 0) {
        open STDOUT, '>', $file or POSIX::_exit(1);
        local @ENV{keys %env} = values %env;
        exec $ctl, 'tail', 'name:=fresh | fields _time, name' or POSIX::_exit(127);
    }
    ok wait_for(sub {
        ($spoor->get('/metrics')->{body} =~
            /^vt_live_tailing_requests\S* 1/m) }, 20), 'a tail runs';
    post_traces($spoor, resource_spans('live', otlp_span(name => 'fresh')));
    ok wait_for(sub { -s $file }, 30), 'and shows what comes';
    open my $in, '<', $file or die "$file: $!\n";
    like scalar <$in>, qr/^\{"_time":"[^"]+Z","name":"fresh"\}\n\z/,
        'as lines of JSON';
    kill 'INT', $tail;
    waitpid $tail, 0;
    ok wait_for(sub {
        ($spoor->get('/metrics')->{body} =~
            /^vt_live_tailing_requests\S* 0/m) }, 20), 'until it is ended';
}

# --- on a terminal -------------------------------------------------------------

# Types the lines into a pseudo terminal; all that was shown.
sub typed {
    my (@lines) = @_;
    my $script = <<'END';
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:2])
shown = b''
def read(wanted, seconds):
    global shown
    end = time.time() + seconds
    start = len(shown)
    while time.time() < end and wanted not in shown[start:]:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                shown += os.read(fd, 65536)
            except OSError:
                return
read(b'spoor> ', 20)
for line in sys.argv[2:]:
    for key in line.encode().decode('unicode_escape').encode('latin1'):
        os.write(fd, bytes([key]))
        time.sleep(0.02)
        if key == 9:
            read(b'\0', 1.5)
    if line.endswith('\\r'):
        read(b'spoor> ', 20)
os.write(fd, b'\4')
read(b'\0', 2)
sys.stdout.buffer.write(shown)
END
    my $out = run_command(['python3', '-c', $script, $ctl, @lines],
        env => { %env, PAGER => '' }, seconds => 90);
    return $out->{out};
}

SKIP: {
    skip 'no python3', 6
        if run_command(['python3', '-c', 'import pty'])->{status} != 0;
    my $shown = typed('* | sta\t by (kind) count() terminal\r',
        '\\\\tim\t\r', '* | uniq by (span_i\t) | count() ids\r');
    like $shown, qr/spoor> /, 'a prompt';
    like $shown, qr/terminal.*kind/s, 'a pipe was completed';
    like $shown, qr/timing is on/, 'a command was completed';
    like typed('* | limit 0 |\r\x03* | count() gaveup\r'),
        qr/gaveup(?:\033\[0m)?\r\n[1-9]/, 'Ctrl-C gives all lines up';
    my $history = '';
    if (open my $in, '<', "$dir/home/.local/state/spoor/history") {
        local $/;
        $history = <$in>;
    }
    like $history, qr/stats/, 'history is kept';
    is((stat "$dir/home/.local/state/spoor/history")[2] & 0777, 0600,
        'for its owner alone');
}

# --- what must not reach a terminal ---------------------------------------------

# Runs spoorctl on a pseudo terminal; its exit code, and all that was shown.
# Ctrl-C comes when the text is there.
sub on_terminal {
    my ($words, $interrupt_at, %more) = @_;
    my $script = <<'END';
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
wanted, shown, end = sys.argv[1].encode(), b'', time.time() + 15
while time.time() < end:
    if select.select([fd], [], [], 0.1)[0]:
        try:
            shown += os.read(fd, 65536)
        except OSError:
            break
    if wanted and wanted in shown:
        os.write(fd, b'\3')
        wanted = b''
status = os.waitpid(pid, 0)[1]
sys.stdout.buffer.write(b'status %d\n' % status + shown)
END
    return run_command(['python3', '-c', $script, $interrupt_at, $ctl, @$words],
        env => { %env, PAGER => '', NO_COLOR => 1, %more },
        seconds => 30)->{out};
}

# Answers one request with the bytes, and goes when `hold` ends.
sub false_server {
    my ($bytes) = @_;
    my $listen = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "listen: $!\n";
    my $pid = fork;

    die "fork: $!\n" unless defined $pid;
    if ($pid == 0) {
        my $socket = $listen->accept or POSIX::_exit(1);
        sysread $socket, my $request, 65536;
        syswrite $socket, "HTTP/1.1 200 OK\r\n\r\n$bytes";
        sleep 20;
        POSIX::_exit(0);
    }
    return ($pid, 'http://127.0.0.1:' . $listen->sockport);
}

post_traces($spoor, resource_spans('hostile', otlp_span(name => 'hostile',
    attributes => attributes(evil => "a\033]0;b\007 \x{9b}31mc"))));
my @evil = ('name:=hostile | fields "span_attr:evil"');

unlike ctl(['query', '--format', 'logfmt', @evil])->{out}, qr/\033|\xc2\x9b/,
    'logfmt escapes control characters, the upper ones, too';
my ($pid, $url) = false_server("\033]0;owned\007\n");
$run = ctl(['query', '--url', $url, '--format', 'table', '*']);
kill 'KILL', $pid;
waitpid $pid, 0;
like $run->{err}, qr/the server says: /, 'what a server says';
unlike $run->{err}, qr/\033/, 'is shown without control characters';

SKIP: {
    skip 'no python3', 4
        if run_command(['python3', '-c', 'import pty'])->{status} != 0;
    for my $format (qw(csv json)) {
        unlike on_terminal(['query', '--format', $format, @evil], ''),
            qr/\033|\xc2\x9b/, "$format on a terminal is harmless";
    }
    ($pid, $url) = false_server(qq({"a":"first"}\n) x 20_000 . '{"a":"b');
    my $shown = on_terminal(['query', '--url', $url, '--format', 'table',
        '*'], 'first', PAGER => 'cat; sleep 0.5; echo the pager is done');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    like $shown, qr/the pager is done/, 'Ctrl-C leaves the pager';
    unlike $shown, qr/^status 2$/m, 'and ends the query in order';
}

$spoor->stop;
done_testing;
