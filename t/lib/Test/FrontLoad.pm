# SPDX-License-Identifier: BSD-2-Clause
#
# A front with storage nodes under load, and a ledger of what was
# acknowledged.  Senders retry as OTLP exporters do; each span's content
# follows from its ids, so what the nodes have is judged without a memory.
#
#     my $set = Test::FrontLoad->new(nodes => 3, front => { workers => 2 });
#     $set->start;
#     $set->send(4);          # so many senders begin
#     ...                     # break things
#     $set->heal;             # all is started, faults are gone
#     $set->stop_senders;
#     $set->drain(60);        # the queue is empty
#     my $found = $set->judge;

package Test::FrontLoad;

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP ();
use POSIX ();
use Test::Spoor;
use Time::HiRes qw(sleep time);

my $traces_per_batch = 4;
my $spans_per_trace = 3;
# An exporter gives up at some time; a test must not.
my $tries_max = 400;
my $sender_count = 0;

# nodes: how many; front, node: directives; env: of the front.
sub new {
    my ($class, %option) = @_;
    my $self = bless { run => $$ % 65536 << 16, senders => [], ledgers => [],
        pace => 0.01, %option }, $class;

    $self->{nodes} = [map {
        Test::Spoor->new(conf => { workers => 1, %{$option{node} || {}} })
    } 1 .. $option{nodes} || 3];
    $self->{front} = Test::Spoor->new(env => $option{env} || {}, conf => {
        workers => 2,
        storage_nodes => [map { '127.0.0.1:' . $_->port } @{$self->{nodes}}],
        %{$option{front} || {}},
    });
    return $self;
}

sub front { return $_[0]{front} }
sub nodes { return @{$_[0]{nodes}} }

sub start {
    my ($self) = @_;

    $_->start for $self->nodes, $self->front;
    return $self;
}

# Starts what does not run; false when something does not come up.
sub heal {
    my ($self) = @_;

    for my $server ($self->nodes, $self->front) {
        $server->kill_all unless $server->is_running;
        $server->start unless $server->is_running;
    }
    return 1;
}

# --- senders -----------------------------------------------------------------

sub _ids {
    my ($self, $client, $batch, $trace, $span) = @_;

    return (sprintf('%08x%08x%08x%08x', $self->{run} + $client,
        $batch * 2654435761 % 4294967296, $batch, $trace),
        sprintf('%08x%04x%04x', $batch, $client, $trace * 16 + $span + 1));
}

sub _batch {
    my ($self, $client, $batch, $now) = @_;
    my @spans;

    for my $trace (0 .. $traces_per_batch - 1) {
        for my $span (0 .. $spans_per_trace - 1) {
            my ($trace_id, $span_id) = _ids($self, $client, $batch, $trace,
                $span);
            push @spans, qq({"traceId":"$trace_id","spanId":"$span_id",)
                . qq("name":"s$span","kind":2,"startTimeUnixNano":"$now",)
                . qq("endTimeUnixNano":"$now","attributes":[{"key":"n",)
                . qq("value":{"stringValue":"n-$span_id"}}]});
        }
    }
    return '{"resourceSpans":[{"resource":{"attributes":[{"key":'
        . '"service.name","value":{"stringValue":"load"}}]},"scopeSpans":'
        . '[{"spans":[' . join(',', @spans) . ']}]}]}';
}

sub _send_batch {
    my ($self, $http, $body, $out) = @_;
    my $path = $self->front->url . '/insert/opentelemetry/v1/traces';

    for my $try (1 .. $tries_max) {
        my $reply = $http->post($path, { content => $body,
            headers => { 'Content-Type' => 'application/json' } });
        my $status = $reply->{status};
        return $reply->{content} =~ /rejected/i ? 'P' : 'A'
            if $status == 200;
        if ($status !~ /^(?:429|502|503|504|599)$/) {
            print {$out} "# $status $reply->{content}\n";
            return 'R';
        }
        sleep($try < 5 ? 0.05 : 0.3);
    }
    return 'U';
}

sub _sender {
    my ($self, $client, $file) = @_;
    my $http = HTTP::Tiny->new(keep_alive => 1, timeout => 15, proxy => undef,
        http_proxy => undef, max_redirect => 0);
    my $is_over = 0;

    local $SIG{TERM} = sub { $is_over = 1 };
    open my $out, '>', $file or POSIX::_exit(1);
    $out->autoflush(1);
    for (my $batch = 1; !$is_over; $batch++) {
        my $now = sprintf('%.0f', time() * 1e6) . '000';
        # What was begun is retried to its end.
        my $fate = _send_batch($self, $http, _batch($self, $client, $batch,
            $now), $out);
        print {$out} "$fate $batch\n";
        sleep $self->{pace};
    }
    POSIX::_exit(0);
}

sub send {
    my ($self, $n) = @_;

    for (1 .. $n) {
        my $client = ++$sender_count;
        my $file = $self->front->dir . "/ledger-$client";
        my $pid = fork();
        die "fork: $!\n" unless defined $pid;
        _sender($self, $client, $file) if $pid == 0;
        push @{$self->{senders}}, $pid;
        push @{$self->{ledgers}}, [$client, $file];
    }
    return;
}

# A batch of a trace or two that nobody judges.
sub poke {
    my ($self) = @_;
    my $now = sprintf('%.0f', time() * 1e6) . '000';

    return $self->front->post('/insert/opentelemetry/v1/traces',
        _batch($self, 65000, ++$self->{pokes}, $now),
        { 'Content-Type' => 'application/json' }, 10);
}

# Nothing is under way then; resume() goes on.
sub pause {
    my ($self) = @_;

    kill 'STOP', @{$self->{senders}};
    sleep 0.5;
    return;
}

sub resume { kill 'CONT', @{$_[0]{senders}} }

sub stop_senders {
    my ($self) = @_;

    kill 'TERM', @{$self->{senders}};
    waitpid $_, 0 for @{$self->{senders}};
    $self->{senders} = [];
    return;
}

# --- the queue ---------------------------------------------------------------

sub queue_files {
    my ($self) = @_;

    return glob $self->front->data_dir . '/queue/*.queue';
}

# Waits until nothing is in the queue of the front that runs.
sub drain {
    my ($self, $seconds) = @_;

    return wait_for(sub {
        my $left = eval {
            $self->front->metric('spoor_cluster_queue_parcels')
        };
        return 0 if !defined $left || $left > 0;
        # Files of the dead that nobody has looked at yet.
        for my $file ($self->queue_files) {
            open my $in, '<', $file or next;
            return 0 if flock $in, 2 | 4;
        }
        return 1;
    }, $seconds);
}

# --- judging -----------------------------------------------------------------

# "trace/span" => [n, wrong content] over all nodes.
sub read_nodes {
    my ($self) = @_;
    my %seen;

    for my $node ($self->nodes) {
        my $reply = $node->post('/select/logsql/query',
            'query=*+%7C+fields+trace_id,+span_id,+%22span_attr:n%22',
            { 'Content-Type' => 'application/x-www-form-urlencoded' }, 120);
        die "node: $reply->{status} $reply->{body}\n"
            if $reply->{status} != 200;
        while ($reply->{body} =~ /^(\{.*\})$/mg) {
            my $line = $1;
            my ($trace) = $line =~ /"trace_id":"(\w+)"/;
            my ($span) = $line =~ /"span_id":"(\w+)"/;
            my $at = $seen{"$trace/$span"} ||= [0, 0, ''];
            $at->[0]++;
            $at->[1]++ if $line !~ /"n-\Q$span\E"/;
            $at->[2] .= ' ' . $node->port;
        }
    }
    return \%seen;
}

sub _batch_keys {
    my ($self, $client, $batch) = @_;
    my @keys;

    for my $trace (0 .. $traces_per_batch - 1) {
        push @keys, map { join '/', _ids($self, $client, $batch, $trace, $_) }
            0 .. $spans_per_trace - 1;
    }
    return @keys;
}

# Numbers of spans: acknowledged, found (of all), lost, doubled, wrong,
# partial (of batches that were not acknowledged), refused, unknown; and
# examples in told.
sub judge {
    my ($self) = @_;
    my $seen = $self->read_nodes;
    my %sum = map { $_ => 0 } qw(acknowledged lost doubled wrong refused
        unknown partial);
    my @told;

    $sum{found} = scalar keys %$seen;
    for my $ledger (@{$self->{ledgers}}) {
        my ($client, $file) = @$ledger;
        for my $line (split /\n/, slurp($file)) {
            if ($line !~ /^([APRU]) (\d+)$/) {
                push @told, $line;
                next;
            }
            my ($fate, $batch) = ($1, $2);
            my @keys = _batch_keys($self, $client, $batch);
            $sum{{ A => 'acknowledged', P => 'partial', R => 'refused',
                U => 'unknown' }->{$fate}} += @keys;
            next if $fate ne 'A';
            for my $key (@keys) {
                next if $seen->{$key};
                $sum{lost}++;
                push @told, "lost: $key (client $client batch $batch)"
                    if @told < 10;
            }
        }
    }
    for my $key (sort keys %$seen) {
        my $at = $seen->{$key};
        $sum{wrong} += $at->[1];
        next if $at->[0] == 1;
        $sum{doubled}++;
        push @told, "doubled: $key at$at->[2]" if @told < 10;
    }
    $sum{told} = join "\n", @told;
    # Of all lives of the front.
    my $log = $self->front->log;
    $sum{possible} = 0;
    $sum{possible} += $1
        while $log =~ /got (\d+) spans at \S+ and does not say/g;
    return \%sum;
}

1;
