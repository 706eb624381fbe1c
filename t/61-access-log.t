# SPDX-License-Identifier: BSD-2-Clause
#
# The access log and the log of slow requests: what a line says, what it never
# says.  Secrets of every kind are sent and configured; none is found in what
# the server writes or shows.

use strict;
use warnings;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;
use Test::Http2;
use Test::Spoor;

# --- lines ---------------------------------------------------------------------

my $spoor = Test::Spoor->new(conf => {
    'workers' => 1,
    'auth.username' => 'ann',
    'auth.password' => 'ann-pw',
    'log.slow_request' => '1ns',
});
my $file = $spoor->dir . '/access.log';
$spoor->write_conf('log.access_file' => $file);
$spoor->start;

sub slurp_file {
    my ($path) = @_;

    open my $in, '<', $path or return '';
    local $/;
    return scalar <$in>;
}

sub basic { return 'Basic ' . encode_base64("$_[0]:$_[1]", '') }

my $ann = { Authorization => basic('ann', 'ann-pw') };

# The columns of the line that has the pattern.
sub line {
    my ($pattern, $path) = @_;
    my $found = wait_for(sub {
        my @lines = grep { /$pattern/ } split /\n/, slurp_file($path || $file);
        return $lines[-1];
    }, 5);

    return $found ? split(/\t/, $found) : ();
}

$spoor->get('/select/jaeger/api/services?a=1', $ann);
my @columns = line(qr{/services\?a=1});
is scalar @columns, 12, 'columns';
like $columns[0], qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'time';
like $columns[1], qr/^127\.0\.0\.1:\d+$/, 'peer';
is_deeply [@columns[2 .. 7]], ['ann', 'HTTP/1.1', 'GET',
    '/select/jaeger/api/services?a=1', 200, 0], 'user to bytes received';
cmp_ok $columns[8], '>', 0, 'bytes sent';
cmp_ok $columns[9], '>', 0, 'seconds';
is $columns[10], '127.0.0.1:' . $spoor->port, 'address';
is $columns[11], '-', 'nothing to note';

my $conn = Test::Http2->connect($spoor->port);
$conn->post('/v1/traces', '{"resourceSpans":[]}',
    ['content-type' => 'application/json',
    authorization => basic('ann', 'ann-pw')]);
@columns = line(qr{HTTP/2\tPOST\t/v1/traces});
is_deeply [@columns[6, 7]], [200, 20], 'a body over HTTP/2';
$conn->post('/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    pack('CN', 0, 0), ['content-type' => 'application/grpc']);
@columns = line(qr{gRPC});
is_deeply [@columns[2, 6]], ['-', 16], 'a call without credentials';
$spoor->get('/health');
$spoor->get('/metrics', $ann);
$spoor->get('/metrics');
@columns = line(qr{/metrics});
is $columns[6], 401, 'what is asked all the time, when it fails';
unlike slurp_file($file), qr{/health|/metrics\t200}, 'and only then';
ok $spoor->wait_log(qr{slow request: \S+ from 127\.0\.0\.1:\d+: HTTP/1\.1 GET }
    . qr{/select/jaeger/api/services\?a=1, status 200}, 5),
    'slow requests are in the log';

# Bytes: a target of HTTP/2 takes what is visible, a head what is no control.
my @forged;
for my $byte (0 .. 255) {
    my $char = chr $byte;

    next if $char =~ /[ \r\n]/;
    $spoor->raw("GET /x$char?y$char=1 HTTP/1.1\r\nHost: a\r\n"
        . "Connection: close\r\n\r\n", seconds => 2);
}
wait_for(sub { slurp_file($file) =~ /%00|\\x00|\\xff/ }, 3);
my $text = slurp_file($file);
@forged = grep { $_ ne "\n" && $_ ne "\t" } $text =~ /([\x00-\x1f\x7f])/g;
is_deeply \@forged, [], 'no control byte in the file';
ok !grep({ scalar(split /\t/, $_, -1) != 12 } split /\n/, $text),
    'every line has its columns';
utf8::decode(my $decoded = $text);
unlike $decoded, qr/[\x80-\x9f]/, 'none of the later controls either';

$spoor->get('/' . 'p' x 3000 . '?' . 'q=' . 'r' x 3000, $ann);
@columns = line(qr{/ppp});
cmp_ok length $columns[5], '<', 1600, 'a long target is cut';
like $columns[5], qr/p\.\.\.\?q=r+\.\.\.$/, 'twice';

# --- the file ------------------------------------------------------------------

rename $file, "$file.1";
$spoor->signal('USR1');
ok wait_for(sub { -e $file }, 10), 'USR1 opens the file again';
ok wait_for(sub {
    $spoor->get('/after', $ann);
    return slurp_file($file) =~ m{/after};
}, 10), 'and lines go there';
my $old = slurp_file("$file.1");
$spoor->get('/later', $ann);
line(qr{/later});
is slurp_file("$file.1"), $old, 'no longer to the old one';

$spoor->write_conf('log.format' => 'json');
$spoor->signal('HUP');
ok $spoor->wait_log(qr/reload: done|"reload: done/, 20), 'a reload';
my $object;
ok wait_for(sub {
    $spoor->get('/json?authKey=k', $ann);
    my ($last) = grep { /json/ } split /\n/, slurp_file($file);
    $object = eval { JSON::PP->new->utf8->decode($last) };
    return $object;
}, 10), 'JSON';
is $object->{user}, 'ann', 'user';
is $object->{target}, '/json?authKey=***', 'target';
is $object->{status}, 404, 'status';
is $object->{listener}, '127.0.0.1:' . $spoor->port, 'address';
cmp_ok $object->{seconds}, '>', 0, 'seconds';
$spoor->stop;

# --- secrets -------------------------------------------------------------------

# Each has its own text, so that one that is found tells where it was.
my $n = 0;
my %canary;
sub canary { return $canary{$_[0]} ||= sprintf 'cAnArY%02dzq', ++$n }

my $hash = crypt(canary('hashed password'), '$6$rounds=1000$abcdefgh$');
my $careful = Test::Spoor->new(conf => {
    'workers' => 1,
    'log.level' => 'DEBUG',
    'log.slow_request' => '1ns',
    'http.flags_auth_key' => canary('key of flags'),
    'auth.username' => 'root',
}, args => ['-httpAuth.password=' . canary('password'),
    '-metricsAuthKey', canary('key of metrics'),
    '-pprofAuthKey=' . canary('key of pprof')]);
my $dir = $careful->dir;
open my $out, '>', "$dir/users" or die "$!\n";
print $out "ann:$hash\nbob:{PLAIN}" . canary('plain password') . "\n";
close $out;
open $out, '>', "$dir/tokens" or die "$!\n";
print $out canary('token'), "\n";
close $out;
$careful->write_conf('log.access_file' => "$dir/access.log",
    'auth.users_file' => "$dir/users", 'auth.tokens_file' => "$dir/tokens");
$careful->start;

my %fields = (
    root => basic('root', canary('password')),
    ann => basic('ann', canary('hashed password')),
    bob => basic('bob', canary('plain password')),
    token => 'Bearer ' . canary('token'),
    'wrong password' => basic('root', canary('wrong password')),
    'name in place of password' => basic(canary('wrong name'), 'x'),
    'wrong token' => 'Bearer ' . canary('wrong token'),
    'not understood' => 'Digest ' . canary('digest'),
);
my @arguments = ('authKey=' . canary('key of flags'),
    'authKey=' . canary('wrong key'), 'auth%4Bey=' . canary('escaped name'),
    'AUTHKEY=' . canary('other case'), 'password=' . canary('argument'),
    'x=1&token=' . canary('token argument') . '&y=2',
    'access_token=' . canary('access token'), 'a=b&&secret='
    . canary('secret argument'));
my @paths = ('/', '/flags', '/metrics', '/nothing', '/debug/pprof/heap',
    '/select/jaeger/api/services');
my @replies;

for my $path (@paths) {
    for my $who (sort keys %fields) {
        push @replies, $careful->get($path, {
            Authorization => $fields{$who},
            Cookie => 'session=' . canary('cookie'),
            'Proxy-Authorization' => canary('proxy'),
            'X-Api-Key' => canary('api key') });
    }
    for my $argument (@arguments) {
        push @replies, $careful->get("$path?$argument",
            { Authorization => $fields{root} });
    }
}
# What is malformed is shown as it came, but for its secrets.
for my $line ("GET http://u:" . canary('userinfo') . "\@h/?authKey="
        . canary('absolute') . " HTTP/1.1",
    'GET /x?authKey=' . canary('bad version') . ' HTTP/9.9',
    'GET /x?authKey=' . canary('bad byte') . "\x01 HTTP/1.1",
    'GET /' . 'a' x 9000 . '?authKey=' . canary('long line') . ' HTTP/1.1',
    'GET /%zz?authKey=' . canary('bad escape') . ' HTTP/1.1',
    'POST /v1/traces?authKey=' . canary('early') . ' HTTP/1.1') {
    push @replies, { body => $careful->raw("$line\r\nHost: a\r\n"
        . "Bad Header\r\n\r\n", seconds => 3) };
    push @replies, { body => $careful->raw("$line\r\nHost: a\r\n"
        . "Content-Length: 9999999999\r\n\r\n", seconds => 3) };
}
push @replies, $careful->post('/internal/force_flush',
    'authKey=' . canary('form'), { Authorization => $fields{root},
    'Content-Type' => 'application/x-www-form-urlencoded' });
push @replies, $careful->get('/flags?authKey=' . canary('key of flags'));
like $replies[-1]{body}, qr/httpAuth\.password="?secret/, '/flags was seen';
push @replies, $careful->get('/metrics?authKey=' . canary('key of metrics'));
like $replies[-1]{body}, qr/^spoor_http_users 4$/m, '/metrics was seen';
my $dump = run_command([spoor_bin(), '-c', $careful->conf_file,
    '-httpAuth.password=' . canary('password'), '-T']);
is $dump->{status}, 0, '-T was seen';

my %seen;
sub look {
    my ($where, $text) = @_;

    $seen{$where} += length $text;
    for my $what (sort keys %canary) {
        my $packed = encode_base64($canary{$what}, '');
        push @{$seen{found}}, "$where: $what"
            if index($text, $canary{$what}) >= 0;
    }
    for my $who (sort keys %fields) {
        my ($value) = $fields{$who} =~ / (.+)/;
        push @{$seen{found}}, "$where: the field of $who"
            if index($text, $value) >= 0;
    }
    push @{$seen{found}}, "$where: the hash" if index($text, $hash) >= 0;
    return;
}

wait_for(sub { slurp_file("$dir/access.log") =~ m{/flags\?authKey=\*\*\*} }, 5);
look('replies', join "\n", map { $_->{body} || '' } @replies);
look('-T', $dump->{out} . $dump->{err});
for my $pid (map { @$_ } values %{$careful->pids}) {
    look('/proc/PID/cmdline', slurp_file("/proc/$pid/cmdline"));
}
$careful->write_conf('workers' => 'wrong');
$careful->signal('HUP');
$careful->wait_log(qr/reload failed/, 10);
look('the log', $careful->log);
look('the access log', slurp_file("$dir/access.log"));
is_deeply $seen{found} || [], [], sprintf('%d secrets, found nowhere',
    scalar keys %canary);
delete $seen{found};
cmp_ok $seen{$_}, '>', 0, "$_: $seen{$_} bytes were read"
    for sort keys %seen;
$careful->stop;
done_testing;
