# SPDX-License-Identifier: BSD-2-Clause
#
# http.shutdown_delay: health checks announce an end while all is served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Http2;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Time::HiRes qw(sleep time);

sub spans {
    my ($spoor) = @_;

    return $spoor->post('/v1/traces', otlp_json(otlp_span(name => 'delay')),
        { otlp_type('json') })->{status};
}

# Workers serve before the server is ready as a whole.
sub started {
    my ($spoor) = @_;

    $spoor->start;
    wait_for(sub { -e $spoor->data_dir . '/spoor.pid' }) or die 'not ready';
    return;
}

sub grpc_health {
    my ($spoor) = @_;
    my $conn = Test::Http2->connect($spoor->port);
    my $reply = $conn->post('/grpc.health.v1.Health/Check', "\0\0\0\0\0",
        ['content-type' => 'application/grpc', te => 'trailers']);

    return $reply->{body} =~ /^\x00{4}\x02\x08(.)\z/s ? ord $1 : -1;
}

my $spoor = Test::Spoor->new(conf => { workers => 2 },
    args => ['-http.shutdownDelay=3s']);
my $acked = 0;

started($spoor);
is $spoor->get('/health')->{status}, 200, 'healthy';
is grpc_health($spoor), 1, 'gRPC says so, too';
my $begin = time();
$spoor->signal('TERM');
ok wait_for(sub { $spoor->get('/health')->{status} == 503 }, 2), 'TERM: 503';
like $spoor->get('/health')->{body}, qr/the server stops in [123] s/,
    'with the seconds that are left';
is $spoor->get('/-/ready')->{status}, 503, 'not ready';
is $spoor->get('/-/healthy')->{status}, 200, 'but it lives';
is grpc_health($spoor), 2, 'gRPC: NOT_SERVING';
$acked += spans($spoor) == 200 for 1 .. 20;
is $acked, 20, 'inserts are served';
is $spoor->get('/select/jaeger/api/services')->{status}, 200, 'so are queries';
my ($worker) = @{$spoor->pids->{worker}};
kill 'KILL', $worker;
ok wait_for(sub { @{$spoor->pids->{worker}} == 2
    && !grep { $_ == $worker } @{$spoor->pids->{worker}} }, 2),
    'a worker that dies is started again';
ok !(grep { $spoor->get('/health')->{status} != 503 } 1 .. 10),
    'and knows of the end';
is run_command([spoor_bin(), '-c', $spoor->conf_file, '-s', 'reload'])->{out}
    . run_command([spoor_bin(), '-c', $spoor->conf_file, '-s', 'reload'])->{err},
    "reload: failed: the server is stopping\n", 'no reload now';
is $spoor->wait_exit(10), 0, 'then it ends';
cmp_ok time() - $begin, '>', 2.9, 'not before the delay';
cmp_ok time() - $begin, '<', 6, 'and soon after it';

# --- QUIT, and a TERM that does not wait ------------------------------------------

started($spoor);
$spoor->signal('QUIT');
ok wait_for(sub { $spoor->get('/health')->{status} == 503 }, 2), 'QUIT: 503';
is $spoor->wait_exit(10), 0, 'ends';
started($spoor);
$spoor->signal('TERM');
ok wait_for(sub { $spoor->get('/health')->{status} == 503 }, 2), 'TERM: 503';
$acked += spans($spoor) == 200 for 1 .. 20;
is $acked, 40, 'spans in the meantime';
$begin = time();
$spoor->signal('TERM');
is $spoor->wait_exit(10), 0, 'the second TERM';
cmp_ok time() - $begin, '<', 2, 'ends at once';
started($spoor);
like $spoor->get('/select/logsql/query?query=name:delay%20%7C%20count()')
    ->{body}, qr/"$acked"/, 'no acknowledged span is lost';
is $spoor->stop('INT'), 0, 'stops';

# A server that was never ready does not wait.
my $early = Test::Spoor->new(args => ['-http.shutdownDelay=20s'],
    conf => { pid => '/nonexistent/spoor.pid' });
$begin = time();
$early->start_nowait;
is $early->wait_exit(20), 1, 'a pid file that cannot be written';
like $early->log, qr{cannot start: .*/nonexistent/spoor\.pid}, 'says so';
cmp_ok time() - $begin, '<', 10, 'and does not wait';

done_testing;
