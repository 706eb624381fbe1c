# SPDX-License-Identifier: BSD-2-Clause
#
# Damaged files: whatever one file looks like, the server starts; an answer is
# the same as before, or says that something is missing, or is an error; and
# `spoorctl check` finds what is wrong.
#
# DAMAGE_FLIPS (default 200), DAMAGE_SEED.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use File::Find;
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(time);

my $flips = $ENV{DAMAGE_FLIPS} || 200;
my $seed = $ENV{DAMAGE_SEED} || int(time() * 1000) % 1e9;
srand $seed;
diag("DAMAGE_SEED=$seed");

# Files below a directory, by name within it.
sub files {
    my ($dir) = @_;
    my @names;

    find({ no_chdir => 1, wanted => sub {
        push @names, substr $_, length($dir) + 1 if -f;
    } }, $dir);
    return sort @names;
}

sub check {
    my ($dir, @words) = @_;

    return run_command([spoorctl_bin(), 'check', @words, $dir]);
}

# --- a store with several parts on two days ----------------------------------

my $spoor = Test::Spoor->new(conf => { workers => 2 });
my $data = $spoor->data_dir;
my $good = $spoor->dir . '/good';
my %stale; # an early copy of each manifest

$spoor->start;
my @ids;
for my $round (1 .. 3) {
    $spoor->spoorctl('gen', '--traces', 12, '--seed', $round, '--quiet',
        '--spread', '1h');
    for my $ago (0, 86400) {
        my $end = int(time()) - $ago;
        my $span = otlp_span(name => "round $round",
            startTimeUnixNano => ($end - 1) . '000000000',
            endTimeUnixNano => "${end}000000000",
            attributes => attributes(round => { intValue => $round },
                text => 'x' x 200),
            events => [{ timeUnixNano => "${end}000000000", name => 'e' }]);
        post_traces($spoor, resource_spans('by hand', $span));
        push @ids, $span->{traceId};
    }
    post_traces($spoor, resource_spans('tenant', otlp_span()),
        [AccountID => 7]);
    ok flush($spoor), "round $round: parts";
    %stale = map { $_ => slurp("$data/$_") } grep { /MANIFEST$/ }
        files($data) if $round == 1;
}
push @ids, find_traces($spoor, service => 'frontend', limit => 30);
cmp_ok scalar @ids, '>=', 30, 'traces to ask for';

my $api = '/select/jaeger/api';
my @logsql = (
    'query?query=' . uri('* | sort by (_time, span_id) | fields _time, '
        . 'trace_id, span_id, name, duration, span_attr:text'),
    'query?query=' . uri('* | stats by (name, kind) count() n, '
        . 'sum(duration) s, max(_time) m | sort by (name, kind)'),
    'query?query=' . uri('span_attr:text:* | count()'),
    'hits?step=1h&query=' . uri('duration:>1ms'),
    'field_values?field=name&query=*', 'streams?query=*');
my @questions = ((map { "$api/traces/$_" } @ids), "$api/services",
    (map { "/select/logsql/$_" } @logsql),
    (map { "$api/services/" . uri($_) . '/operations' }
        jaeger_names($spoor)),
    "$api/traces?service=frontend&limit=50",
    "$api/traces?service=by+hand&limit=50");
my %answer = map { $_ => $spoor->get($_) } @questions;
is scalar(grep { $_->{status} != 200 } values %answer), 0, 'all answers';
my $rows = $spoor->metric('vt_rows_ingested_total');
is $spoor->stop, 0, 'an orderly stop';

sub copy_tree {
    my ($from, $to) = @_;

    system 'rm', '-rf', $to;
    return system('cp', '-a', $from, $to) == 0;
}

sub restore { return copy_tree($good, $data) }

ok copy_tree($data, $good), 'a copy of the good data';
my @files = files($good);
my @parts = grep { /\.l1$/ } @files;
my @manifests = grep { /MANIFEST$/ } @files;
my @digests = grep { /\.dig$/ } @files;
cmp_ok scalar @parts, '>=', 6, 'parts';
is scalar @manifests, 2, 'manifests';
cmp_ok scalar @digests, '>=', 1, 'digests';
my $clean = check($data, '--deep');
is $clean->{status}, 0, 'check: clean';
like $clean->{out}, qr/ parts, $rows spans, .* 0 damaged$/, 'check: the sum';

# --- asking ------------------------------------------------------------------

# An answer that says that something is missing.
sub is_marked {
    my ($reply) = @_;

    # Decoding takes long; keys do not stand in texts with a quote.
    return $reply->{status} >= 500 || $reply->{status} == 200
        && $reply->{headers}{'spoor-partial'} || $reply->{status} == 200
        && $reply->{body} =~ /"(?:warnings|errors)":\[\S/;
}

# Starts on damaged data and asks everything; how many answers were equal.
sub start_and_ask {
    my ($name) = @_;
    my ($equal, $marked, @silent) = (0, 0);

    $spoor->start_nowait;
    my $up = wait_for(sub {
        return -1 if !$spoor->is_running;
        return $spoor->get('/health', undef, 2)->{status} == 200;
    }, 20);
    if (!$up || $up == -1) {
        fail("$name: the server starts");
        diag substr $spoor->log, -1500;
        $spoor->kill_all;
        return;
    }
    for my $question (@questions) {
        my $reply = $spoor->get($question);
        if ("$reply->{status} $reply->{body}" eq
            "$answer{$question}{status} $answer{$question}{body}") {
            $equal++;
        } elsif (is_marked($reply)) {
            $marked++;
        } else {
            push @silent, "$question: $reply->{status} "
                . substr $reply->{body}, 0, 300;
        }
    }
    is scalar @silent, 0, "$name: starts; $equal answers are equal, $marked "
        . 'say what is wrong, none is silently different'
        or diag join "\n", @silent[0 .. (@silent > 3 ? 3 : $#silent)];
    is $spoor->metric('spoor_worker_restarts_total'), 0,
        "$name: no process died";
    # It can be written to, too.
    my $span = otlp_span();
    post_traces($spoor, resource_spans('after', $span));
    is_stored_once_or_marked($span->{traceId}, $name);
    is $spoor->stop, 0, "$name: an orderly stop";
    return $equal;
}

sub is_stored_once_or_marked {
    my ($id, $name) = @_;
    my $trace = jaeger_trace($spoor, $id);

    is $trace && scalar @{$trace->{spans}}, 1, "$name: new spans are stored";
    return;
}

# Damages the data with a function, starts on it and restores it.
sub damaged {
    my ($name, $damage) = @_;

    $damage->();
    my $log_before = length $spoor->log;
    my $equal = start_and_ask($name);
    my $log = substr $spoor->log, $log_before;
    restore();
    return ($equal, $log);
}

sub all_equal {
    my ($name, $damage) = @_;
    my ($equal, $log) = damaged($name, $damage);

    is $equal, scalar @questions, "$name: every answer is the same";
    return $log;
}

# --- bits --------------------------------------------------------------------

# A random place; the tail of a manifest is empty, so mostly before that.
sub random_place {
    my ($file) = @_;
    my $bytes = -s "$good/$file";

    if ($file =~ /MANIFEST$/ && rand() < 0.8) {
        (my $used = slurp("$good/$file")) =~ s/\0+\z//;
        $bytes = length $used;
    }
    return int rand $bytes;
}

sub flip {
    my ($file, $place, $bit) = @_;
    my $bytes = slurp("$good/$file");

    substr($bytes, $place, 1) ^= chr(1 << $bit);
    spew("$data/$file", $bytes);
    return;
}

my @targets = grep { -s "$good/$_" && !/(?:LOCK|\.pid)$/ } @files;
my (%found, %unseen, @unseen, @odd);
for my $n (1 .. $flips) {
    my $file = $targets[rand @targets];
    my ($place, $bit) = (random_place($file), int rand 8);
    my ($kind) = $file =~ /(NODE|MANIFEST|dig|l1)$/;

    flip($file, $place, $bit);
    my $run = check($data, '--deep');
    spew("$data/$file", slurp("$good/$file"));
    if ($run->{status} == 0) {
        $unseen{$kind}++;
        push @unseen, [$file, $place, $bit];
    } elsif ($run->{status} == 1 && $run->{out} =~ /^damage: /m
        || $kind eq 'NODE' && $run->{err} =~ /newer spoor/) {
        $found{$kind}++;
    } else {
        push @odd, "$file at $place bit $bit: $run->{status} $run->{out}"
            . $run->{err};
    }
}
is scalar @odd, 0, "$flips flipped bits: check ends with 0 or 1"
    or diag join "\n", @odd;
diag(join ', ', map {
    sprintf '%s: %d found, %d unseen', $_, $found{$_} || 0, $unseen{$_} || 0
} sort keys %{{ %found, %unseen }});
cmp_ok $found{l1} || 0, '>', 10, 'check finds damage in parts';

# What check does not see must not matter; what it sees must not stop the
# server.  (A version that looks newer does: nothing is touched then.)
my @starts = (splice(@unseen, 0, 6),
    (map { my $file = $_; [$file, random_place($file), int rand 8] }
        $parts[rand @parts], $parts[rand @parts], $parts[rand @parts],
        @manifests, $digests[0]),
    [$parts[0], (-s "$good/$parts[0]") - 4000, 3],
    [$parts[1], 100, 0], [$parts[2], (-s "$good/$parts[2]") - 3, 7],
    ['NODE', 2, 1], ['NODE', 25, 4], [$manifests[0], 8, 2],
    [$manifests[1], 3, 6]);
for my $start (@starts) {
    my ($file, $place, $bit) = @$start;
    damaged("$file, byte $place, bit $bit", sub { flip(@$start) });
}

# --- whole files -------------------------------------------------------------

for my $case (['cut in half', sub { substr $_[0], 0, length($_[0]) / 2 }],
    ['empty', sub { '' }], ['one byte', sub { 'x' }],
    ['zeros', sub { "\0" x length $_[0] }],
    ['one byte too long', sub { "$_[0]x" }],
    ['one byte short', sub { substr $_[0], 0, -1 }]) {
    my ($name, $change) = @$case;
    my $part = $parts[rand @parts];
    my $bytes = $change->(slurp("$good/$part"));

    spew("$data/$part", $bytes);
    my $run = check($data);
    is $run->{status}, 1, "part, $name: check finds it";
    like $run->{out}, qr/^damage: \S*\Q$part\E/m, 'and names it';
    like $run->{out}, qr/ 1 damaged$/, 'and counts it';
    my ($equal, $log) = damaged("part, $name", sub { });
    cmp_ok $equal, '<', scalar @questions, "part, $name: answers say so";
    like $log, qr/\Q$part\E/, "part, $name: the log names it";
}
{
    unlink "$data/$parts[0]";
    is check($data)->{status}, 1, 'part deleted: check finds it';
    my ($equal, $log) = damaged('part deleted', sub { });
    like $log, qr/part is missing.*\Q$parts[0]\E/, 'the log says which';
}
{
    my ($one, $other) = @parts[0, -1];
    my ($equal, $log) = damaged('two parts swapped', sub {
        spew("$data/$one", slurp("$good/$other"));
        spew("$data/$other", slurp("$good/$one"));
    });
    like $log, qr/\Q$one\E.*not the one that is listed/, 'the log says so';
}
like all_equal('MANIFEST deleted', sub { unlink "$data/$manifests[0]" }),
    qr/adopted/, 'parts are adopted';
for my $case (['zeros', "\0" x 4096], ['noise', join '', map { chr rand 256 }
    1 .. 3000], ['empty', ''], ['cut', undef]) {
    my ($name, $bytes) = @$case;
    all_equal("MANIFEST, $name", sub {
        $bytes = substr slurp("$good/$manifests[0]"), 0, 150
            unless defined $bytes;
        spew("$data/$manifests[0]", $bytes);
    });
}
all_equal('an old copy of each MANIFEST', sub {
    spew("$data/$_", $stale{$_}) for keys %stale;
});
all_equal('both MANIFESTs deleted', sub {
    unlink "$data/$_" for @manifests;
});
all_equal('NODE deleted', sub { unlink "$data/NODE" });
for my $bytes ('', "\0" x 100, "spoor-data x\n", 'y' x 10000) {
    all_equal('NODE of ' . length($bytes) . ' bytes',
        sub { spew("$data/NODE", $bytes) });
}
all_equal('a digest file of noise', sub {
    spew("$data/$_", join '', map { chr rand 256 } 1 .. 300) for @digests;
});
all_equal('a log file of noise', sub {
    spew("$data/wal/0000000100000009-00000001.wal", join '',
        map { chr rand 256 } 1 .. 9000);
});
all_equal('files of strangers', sub {
    my ($day) = $parts[0] =~ m{^(.*)/};
    spew("$data/$day/notes.txt", 'hello');
    spew("$data/$day/00000fffffffffff.l1", 'no part');
    spew("$data/$day/0000010000000001.l1.tmp", 'left by a crash');
    spew("$data/wal/README", 'hello');
    mkdir "$data/partitions/lost+found";
});

# --- a column that only the trace needs -------------------------------------

# Nearly all of the part is one text, which a search by service does not read:
# the trace is found and then cannot be shown.
{
    my $one = Test::Spoor->new(conf => { workers => 1 });
    my $span = otlp_span(attributes => attributes(
        text => join '', map { chr(33 + int rand 90) } 1 .. 100_000));

    $one->start;
    post_traces($one, resource_spans('one', $span));
    ok flush($one), 'a part of one text';
    is $one->stop, 0, 'stop';
    my ($part) = map { $one->data_dir . "/$_" } grep { /\.l1$/ }
        files($one->data_dir);
    my $bytes = slurp($part);
    cmp_ok length $bytes, '<', 150_000, 'and of little else';
    substr($bytes, length($bytes) / 2, 1) ^= chr 1;
    spew($part, $bytes);
    $one->start;
    my $reply = $one->get("$api/traces?service=one");
    is $reply->{status}, 200, 'a search for a trace that is damaged';
    like $reply->{body}, qr/"data":\[\],/, 'cannot show it';
    like $reply->{body}, qr/"errors":\[\{"code":206,/, 'and says so';
    is $one->stop, 0, 'stop';
}

# --- logs --------------------------------------------------------------------

# Requests that are in the log alone, a group each; the last group of a log
# cannot be told from one that a crash cut off, so it stays whole here.
{
    my $logs = Test::Spoor->new(conf => { workers => 1 });
    my $wal = $logs->data_dir . '/wal';
    my (@sent, %place);

    $logs->start;
    for my $n (1 .. 12) {
        my $span = otlp_span(name => "logged $n");
        my $reply = post_traces($logs, resource_spans('logged', $span));
        push @sent, $span->{traceId} if $reply->{status} == 200;
    }
    is scalar @sent, 12, 'requests in the log';
    $logs->kill_all;
    my ($file) = glob "$wal/*.wal";
    my $bytes = slurp($file);
    for my $id (@sent) {
        $place{$id} = index $bytes, $id;
        cmp_ok $place{$id}, '>', 0, 'a body stands in the log as received';
    }
    my $hurt = $sent[5];
    substr($bytes, $place{$hurt}, 1) ^= chr 1;
    spew($file, $bytes);
    my $run = check($logs->data_dir);
    is $run->{status}, 1, 'a damaged group: check finds it';
    like $run->{out}, qr/^damage: \S+\.wal: 1 bad groups/m, 'and says where';
    $logs->start;
    my @lost = grep { !jaeger_trace($logs, $_) } @sent;
    is_deeply \@lost, [$hurt], 'all other requests are there';
    like $logs->log, qr/\.wal.*damaged/, 'the log says so';
    my ($kept) = glob $logs->data_dir . '/quarantine/*';
    ok $kept && slurp($kept) =~ /logged 6/, 'the damaged file is kept';
    is $logs->stop, 0, 'stop';
}

# --- a newer format ----------------------------------------------------------

{
    (my $newer = slurp("$good/NODE")) =~ s/^spoor-data 1$/spoor-data 2/m;
    # Its writer makes the checksum fit; here it is left out.
    $newer =~ s/^check [0-9a-f]{16}\n//m;
    spew("$data/NODE", $newer);
    my %before = map { $_ => md5_hex(slurp("$data/$_")) } files($data);
    my $start = run_command([spoor_bin(), '-c', $spoor->conf_file],
        seconds => 20);
    isnt $start->{status}, 0, 'a newer format: the start is refused';
    like $start->{err}, qr/has format 2, this spoor knows 1.*newer spoor/,
        'with the reason';
    my %after = map { $_ => md5_hex(slurp("$data/$_")) } files($data);
    is_deeply \%after, \%before, 'nothing was changed';
    my $run = check($data);
    is $run->{status}, 2, 'check refuses it, too';
    like $run->{err}, qr/newer spoor/, 'with the reason';
    restore();
}

# --- check -------------------------------------------------------------------

is check('/nonexistent')->{status}, 2, 'check: no such directory';
like check('/nonexistent')->{err}, qr{/nonexistent is no data directory},
    'check: its message';
$spoor->start;
my $busy = check($data);
is $busy->{status}, 2, 'check: a running server';
like $busy->{err}, qr/in use by a running spoor/, 'check: its message';
is $spoor->stop, 0, 'stop';
is check('x' x 5000)->{status}, 2, 'check: a long name';
start_and_ask('the good data at the end');

done_testing;
