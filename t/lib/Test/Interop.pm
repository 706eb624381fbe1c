# SPDX-License-Identifier: BSD-2-Clause
#
# Compares spans that a program made with an OpenTelemetry SDK with what the
# server shows of them.
#
#     my $spans = interop_read($path);
#     my $result = interop_compare($spoor, $spans);
#
# The file has one JSON object a line, a span as the SDK holds it:
#
#     traceId, spanId, parentId ("": none)           hex
#     traceState, flags (0..255), name, kind ("client"), status ("UNSET"),
#     message, scope, scopeVersion
#     startNs, endNs                                 decimal text
#     attributes, resource, scopeAttributes          { key: value }
#     events: [{ name, timeNs, attributes }]
#     links: [{ traceId, spanId, attributes }]
#
# Each value is { type, value }: string; bool; int64 and float64 as text;
# bytes as base64; array, a list of values; kvlist, a list of [key, value];
# empty.  What an SDK cannot set or does not send is left out.
#
# The server shows its spans through Jaeger's API: each trace by its id, the
# services, their span names, and a search for each service.  That API has no
# place for some of the above; interop_unseen() lists it.

package Test::Interop;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use Test::More ();
use Test::Traces;

our @EXPORT = qw(interop_read interop_compare interop_unseen);

my $text = JSON::PP->new->canonical->allow_nonref;
my $exact_int_max = 2**53 - 1; # beyond it JavaScript loses digits
my $differences_shown = 3;

sub interop_read {
    my ($path) = @_;
    my @spans;

    open my $in, '<:raw', $path or return [];
    while (my $line = <$in>) {
        push @spans, JSON::PP->new->utf8->decode($line);
    }
    return \@spans;
}

sub interop_unseen {
    return ('attributes, trace state and flags of links',
        'times below a microsecond',
        'schema URLs, dropped counts, flags above 0xff',
        'empty values (no tag) and empty texts (shown as "-")',
        'int64 and double inside of arrays (both are digits)',
        'the order of attributes');
}

# --- values as the API shows them: [type, value] -------------------------------

# The shortest digits that read back as the same number, without an exponent.
sub _double_text {
    my ($v) = @_;

    return 'NaN' if $v =~ /nan/i;
    return ($v =~ /^-/ ? '-' : '+') . 'Inf' if $v =~ /inf/i;
    my $sign = $v =~ /^-/ ? '-' : '';
    my ($digits, $e);
    $v = unpack 'd', pack 'd', $v; # never an integer of 64 bits
    for my $precision (0 .. 16) {
        my $short = sprintf "%.${precision}e", $v;
        next if $short != $v;
        ($digits, $e) = $short =~ /^-?([\d.]+)e([-+]\d+)$/;
        last;
    }
    $digits =~ s/\.//;
    $digits =~ s/0+$// if $digits =~ /[1-9]/;
    my $point = $e + 1;
    return "${sign}0." . '0' x -$point . $digits if $point <= 0 && $v != 0;
    return $sign . $digits . '0' x ($point - length $digits)
        if $point >= length $digits;
    return $sign . substr($digits, 0, $point) . '.' . substr $digits, $point;
}

# Arrays are shown as the text of JSON.
sub _json_of {
    my ($v) = @_;

    return '[' . join(',', map { _json_of($_) } @{$v->{value}}) . ']'
        if $v->{type} eq 'array';
    return '{' . join(',', map { $text->encode($_->[0]) . ':'
        . _json_of($_->[1]) } @{$v->{value}}) . '}' if $v->{type} eq 'kvlist';
    return $v->{value} if $v->{type} eq 'int64';
    return $v->{value} ? 'true' : 'false' if $v->{type} eq 'bool';
    return 'null' if $v->{type} eq 'empty';
    return $text->encode($v->{value}) if $v->{type} ne 'float64';
    my $digits = _double_text($v->{value});
    return $digits =~ /\d/ ? $digits : "\"$digits\"";
}

sub _shown {
    my ($v) = @_;
    my ($type, $value) = @$v{qw(type value)};

    return ['string', _json_of($v)] if $type eq 'array';
    return ['string', length $value ? $value : '-'] if $type eq 'string';
    return ['binary', $value] if $type eq 'bytes';
    return [$type, _double_text($value)] if $type eq 'float64';
    return [$type, $value] if $type eq 'bool';
    my $number = $value + 0;
    return [$type, abs $number > $exact_int_max ? "$value" : $number];
}

# { key: value } as tags, a map as one tag per leaf.
sub _tags_of {
    my ($prefix, $values) = @_;
    my %tags;

    for my $key (keys %{$values || {}}) {
        my $v = $values->{$key};
        if ($v->{type} eq 'kvlist') {
            %tags = (%tags, _tags_of("$prefix$key.",
                { map { $_->[0] => $_->[1] } @{$v->{value}} }));
        } elsif ($v->{type} ne 'empty') {
            $tags{"$prefix$key"} = _shown($v);
        }
    }
    return %tags;
}

# A list of tags as the API gives it; doubles as their digits.
sub _tags_found {
    my ($list) = @_;
    my %tags;

    for my $tag (@$list) {
        my ($key, $type, $value) = @$tag{qw(key type value)};
        $key .= ' (again)' while exists $tags{$key};
        $value = _double_text($value) if $type eq 'float64';
        $tags{$key} = [$type, $value];
    }
    return \%tags;
}

# --- spans ---------------------------------------------------------------------

# What the API prints of a trace id.
sub _id { return $_[0] =~ s/^0{16}//r }

sub _us { return length $_[0] > 3 ? substr($_[0], 0, -3) + 0 : 0 }

sub _is_child_of {
    my ($link) = @_;
    my $type = ($link->{attributes} || {})->{'opentracing.ref_type'};

    return $type && $type->{value} eq 'child_of';
}

sub _references {
    my ($span) = @_;

    return [
        length $span->{parentId} ? { refType => 'CHILD_OF',
            traceID => _id($span->{traceId}),
            spanID => $span->{parentId} } : (),
        map { { refType => _is_child_of($_) ? 'CHILD_OF' : 'FOLLOWS_FROM',
            traceID => _id($_->{traceId}), spanID => $_->{spanId} } }
            @{$span->{links}}];
}

sub _log_of {
    my ($event) = @_;
    my %fields = _tags_of('', $event->{attributes});

    $fields{event} = ['string', $event->{name}] if length $event->{name};
    return { timestamp => _us($event->{timeNs}), fields => \%fields };
}

# A span of the SDK in the words of the API.
sub _expected {
    my ($span) = @_;
    my %process = _tags_of('', $span->{resource});
    my $service = delete $process{'service.name'};
    my %tags = (_tags_of('', $span->{attributes}),
        _tags_of('scope_attr:', $span->{scopeAttributes}),
        'span.kind' => ['string', $span->{kind}]);
    my %texts = ('otel.scope.name' => $span->{scope},
        'otel.scope.version' => $span->{scopeVersion},
        'otel.status_description' => $span->{message},
        'w3c.tracestate' => $span->{traceState});

    for my $key (keys %texts) {
        $tags{$key} = ['string', $texts{$key}]
            if defined $texts{$key} && length $texts{$key};
    }
    $tags{'otel.status_code'} = ['string', $span->{status}]
        if $span->{status} ne 'UNSET';
    $tags{error} = ['bool', JSON::PP::true] if $span->{status} eq 'ERROR';
    return {
        traceID => _id($span->{traceId}),
        spanID => $span->{spanId},
        operationName => $span->{name},
        (map { $_ => $span->{$_} } grep { defined $span->{$_} } 'flags'),
        startTime => _us($span->{startNs}),
        duration => _us($span->{endNs} - $span->{startNs}),
        tags => \%tags,
        references => _references($span),
        logs => [map { _log_of($_) } @{$span->{events}}],
        process => { service => $service->[1], tags => \%process },
    };
}

# The same of a span that the API shows.
sub _found {
    my ($span, $trace) = @_;
    my $process = $trace->{processes}{$span->{processID}};

    $process->{found} ||= { service => $process->{serviceName},
        tags => _tags_found($process->{tags}) };
    return {
        (map { $_ => $span->{$_} } qw(traceID spanID operationName flags
            startTime duration references)),
        tags => _tags_found($span->{tags}),
        logs => [map { { timestamp => $_->{timestamp},
            fields => _tags_found($_->{fields}) } } @{$span->{logs}}],
        process => $process->{found},
    };
}

# A trace by id; JSON::PP would make 0 of -0.
sub _trace {
    my ($spoor, $id) = @_;
    my $reply = $spoor->get("/select/jaeger/api/traces/$id");

    return if $reply->{status} != 200;
    my $body = $reply->{body} =~ s/"value":-0(?=[,}])/"value":"-0"/gr;
    return JSON::PP->new->utf8->decode($body)->{data}[0];
}

# The parts of two spans that differ.
sub _difference {
    my ($got, $want, $path) = @_;

    return () if json_text($got) eq json_text($want);
    if (ref $got eq 'HASH' && ref $want eq 'HASH') {
        my %keys = (%$got, %$want);
        return map { _difference($got->{$_}, $want->{$_}, "$path/$_") }
            sort keys %keys;
    }
    if (ref $got eq 'ARRAY' && ref $want eq 'ARRAY' && @$got == @$want) {
        return map { _difference($got->[$_], $want->[$_], "$path/$_") }
            0 .. $#$got;
    }
    return "$path: got " . substr($text->encode($got), 0, 200) . ', want '
        . substr($text->encode($want), 0, 200);
}

# Ids of the traces that a search finds; decoding all of it would take long.
sub _search {
    my ($spoor, $service) = @_;
    my $reply = $spoor->get('/select/jaeger/api/traces?limit=1000&start=0'
        . '&service=' . uri($service));

    return $reply->{body} =~ /"traceID":"([0-9a-f]+)","spans"/g;
}

# What is in one list only.
sub _set_difference {
    my ($what, $got, $want) = @_;
    my %got = map { $_ => 1 } @$got;
    my %want = map { $_ => 1 } @$want;

    return ((map { "$what: no $_" } grep { !$got{$_} } sort keys %want),
        map { "$what: $_ too much" } grep { !$want{$_} } sort keys %got);
}

# The lists of the API: services, span names and traces of each.
sub _lists_differ {
    my ($spoor, $spans) = @_;
    my (%names, %traces, @differences);

    for my $span (@$spans) {
        my $service = $span->{resource}{'service.name'}{value};
        $names{$service}{$span->{name}} = 1;
        $traces{$service}{_id($span->{traceId})} = 1;
    }
    my %listed = map { $_ => 1 } jaeger_names($spoor);
    for my $service (sort keys %names) {
        push @differences, "no service $service" unless $listed{$service};
        push @differences, _set_difference("span names of $service",
            [jaeger_names($spoor, $service)],
            [grep { length } keys %{$names{$service}}]);
        push @differences, _set_difference("search for $service",
            [_search($spoor, $service)], [keys %{$traces{$service}}]);
    }
    splice @differences, $differences_shown;
    return @differences;
}

# { sent, found, equal, shown, notes }: how many of the SDK's spans there are,
# are found and are equal; how many the traces have; and what differs.
sub interop_compare {
    my ($spoor, $spans) = @_;
    my (%trace, %got, @notes);
    my ($found, $equal, $shown) = (0, 0, 0);

    $trace{$_->{traceId}}++ for @$spans;
    for my $id (keys %trace) {
        my $trace = _trace($spoor, $id) or next;
        for my $span (@{$trace->{spans}}) {
            $shown++;
            $got{"$id $span->{spanID}"} = _found($span, $trace);
        }
    }
    for my $span (@$spans) {
        my $got = $got{"$span->{traceId} $span->{spanId}"} or next;
        $found++;
        delete $got->{flags} unless defined $span->{flags};
        my @differences = _difference($got, _expected($span), $span->{name});
        $equal++ unless @differences;
        push @notes, @differences if $found - $equal <= $differences_shown;
    }
    push @notes, _lists_differ($spoor, $spans) if $found;
    return { sent => scalar @$spans, found => $found, equal => $equal,
        shown => $shown, notes => \@notes };
}

1;
