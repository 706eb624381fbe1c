# SPDX-License-Identifier: BSD-2-Clause
#
# A front one of whose nodes is itself, by way of a relay: nothing is stored
# there, nothing is lost, and the log and queries say what is wrong.

use strict;
use warnings;

use Test::More;
use Test::Net;
use Test::Spoor;
use Test::Traces;

my $store = Test::Spoor->new(conf => { workers => 1 })->start;
my $port = Test::Spoor::free_port();
my $link = Test::Net->link('127.0.0.1', $port);
my $front = Test::Spoor->new(port => $port, conf => { workers => 1,
    storage_nodes => ['127.0.0.1:' . $store->port,
        '127.0.0.1:' . $link->port] })->start;
my $sent = 0;

for my $n (1 .. 20) {
    my $reply = $front->post('/insert/opentelemetry/v1/traces', traces_json(
        resource_spans('round', map { { traceId => sprintf('%032x', $_),
            spanId => sprintf('%016x', $_), name => 'a',
            startTimeUnixNano => time . '000000000',
            endTimeUnixNano => time . '000000000' } }
            $n * 10 .. $n * 10 + 9)), { 'Content-Type' => 'application/json' });
    $sent += 10 if $reply->{status} == 200;
}
is $sent, 200, 'inserts are answered';
ok wait_for(sub { $store->get('/select/logsql/query?query='
    . Test::Traces::uri('* | stats count() n'))->{body} =~ /"n":"200"/ }, 20),
    'and are all on the node that is one';
my $asked = $front->get('/select/logsql/query?query=*');
is $asked->{status}, 502, 'a query is refused';
like $asked->{body}, qr/storage node \S+: .*has reached itself/, 'with a reason';
like $front->log, qr/has reached itself: one of its storage_nodes/,
    'the log has it, too';

done_testing;
