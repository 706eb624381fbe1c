# SPDX-License-Identifier: BSD-2-Clause
#
# Damage while the server runs: found by a query or by reading all data,
# confirmed by a second look, remembered over a restart; the rest is served,
# answers say that something is missing.  A disk that gives errors for a while
# costs nothing but that while.

use strict;
use warnings;

use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;
use Time::HiRes qw(sleep time);

# In place, as a disk does it.
sub flip {
    my ($path, $place) = @_;

    open my $file, '+<:raw', $path or die "$path: $!\n";
    seek $file, $place, 0;
    read $file, my $byte, 1;
    seek $file, $place, 0;
    print {$file} $byte ^ "\x10";
    close $file;
    return;
}

sub count_all {
    my ($spoor) = @_;
    my $reply = $spoor->get('/select/logsql/query?start=0&query='
        . uri('* | stats by (name) count() n | sort by (name)'));
    my @n = $reply->{body} =~ /"n":"(\d+)"/g;

    push @n, "status $reply->{status}" if $reply->{status} != 200;
    return join ' ', @n, $reply->{headers}{'spoor-partial'} ? 'partial' : ();
}

sub make {
    my ($rate, %more) = @_;
    my $spoor = Test::Spoor->new(conf => { workers => 2,
        'storage.scrub_rate' => $rate, %more });
    my $faults = $spoor->{faults} = $spoor->dir . '/faults';

    spew($faults, '');
    $spoor->{env}{SPOOR_FAULT_FILE} = $faults;
    $spoor->start;
    # A part each, too few to be merged.
    for my $name ('a', 'b') {
        post_traces($spoor, resource_spans('s', map { otlp_span(name => $name,
            attributes => attributes(text => $name x 100, n => $_)) }
            1 .. 500));
        flush($spoor) or die "no flush\n";
    }
    return $spoor;
}

sub arm {
    my ($spoor, $text) = @_;

    spew("$spoor->{faults}.new", $text);
    rename "$spoor->{faults}.new", $spoor->{faults};
    sleep 0.03;
    return;
}

sub parts_of {
    my ($spoor) = @_;

    return sort glob $spoor->data_dir . '/partitions/*/*.l1';
}

sub is_bad {
    my ($spoor, $n) = @_;

    return wait_for(sub { $spoor->metric('spoor_parts_bad') == $n
        && $spoor->metric('spoor_parts_offline') == 0 }, 15);
}

sub quarantined {
    my ($spoor, $n) = @_;

    return wait_for(sub {
        my @files = glob $spoor->data_dir . '/quarantine/*';
        @files == $n;
    }, 20);
}

# --- a query finds it -----------------------------------------------------------

my $spoor = make(0);
is count_all($spoor), '500 500', 'two parts';
$spoor->restart; # Nothing of them is in memory.
my @parts = parts_of($spoor);
is scalar @parts, 2, 'two files';
my $good = slurp($parts[0]);
flip($parts[0], int(length($good) / 3));
my $answer = count_all($spoor);
$answer = count_all($spoor) if $answer eq '500 500';
SKIP: {
    # It may need other columns than those of the byte.
    if ($answer eq '500 500') {
        flip($parts[0], $_) for map { int(length($good) * $_ / 50) } 1 .. 40;
        $spoor->restart;
        $answer = count_all($spoor);
    }
    is $answer, '500 partial', 'the rest is served, the answer is partial';
}
ok is_bad($spoor, 1), 'a second look confirms it';
is $spoor->metric('spoor_parts_damaged_total'), 1, 'counted';
is count_all($spoor), '500 partial', 'still';
like $spoor->log, qr/is damaged, answers.*\Q$parts[0]\E.*spoorctl check/,
    'the log names the file and what to do';
ok quarantined($spoor, 1), 'the file goes to quarantine';
ok !-e $parts[0], 'it is not with the others any more';
is $spoor->metric('spoor_quarantined_parts_total'), 1, 'counted';
like $spoor->log, qr/is in quarantine\/ now: \Q$parts[0]\E: .*moved back/,
    'the log names file, reason and what to do';
is count_all($spoor), '500 partial', 'its rows are missing, and that is said';
$spoor->restart;
is $spoor->metric('spoor_parts_bad'), 1, 'BAD after a restart';
is count_all($spoor), '500 partial', 'partial';
is $spoor->stop, 0, 'stop';
my $check = run_command([spoorctl_bin(), 'check', '--deep',
    $spoor->data_dir]);
is $check->{status}, 1, 'check finds it';
like $check->{out}, qr/\Q$parts[0]\E/m, 'and names it' or diag $check->{out};

# The file is put back: the next round takes it.
spew($parts[0], $good);
$spoor->write_conf('storage.scrub_rate' => '100MB');
$spoor->start;
ok is_bad($spoor, 0), 'put back: taken by the next round';
is count_all($spoor), '500 500', 'all is there';
like $spoor->log, qr/was damaged and is whole again/, 'the log says so';
$spoor->restart;
is $spoor->metric('spoor_parts_bad'), 0, 'after a restart, too';
is $spoor->stop, 0, 'stop';

# --- nobody asks ---------------------------------------------------------------

my $quiet = make('100MB');
ok wait_for(sub { $quiet->metric('spoor_scrub_rounds_total') }, 15),
    'all parts are read';
is $quiet->metric('spoor_scrub_parts_total'), 2, 'two of them';
cmp_ok $quiet->metric('spoor_scrub_read_bytes_total'), '>', 1000, 'bytes';
is $quiet->metric('spoor_parts_bad'), 0, 'nothing is wrong';
@parts = parts_of($quiet);
my @answers = count_all($quiet);
for my $place (0.05, 0.3, 0.6, 0.9) {
    $good = slurp($parts[1]);
    flip($parts[1], int(length($good) * $place));
    $quiet->restart;
    ok is_bad($quiet, 1), "byte at $place: found while nobody asks";
    is count_all($quiet), '500 partial', "byte at $place: answers say so";
    spew($parts[1], $good);
    $quiet->restart;
    ok is_bad($quiet, 0), "byte at $place: put back";
}
unlink $parts[0];
$quiet->signal('HUP');
ok is_bad($quiet, 1), 'a deleted file is found';
is count_all($quiet), '500 partial', 'deleted: partial';
is $quiet->metric('spoor_worker_restarts_total'), 0, 'no process died';
is $quiet->stop, 0, 'stop';

# --- a disk that gives errors -----------------------------------------------------

my $disk = make(0);
$disk->restart;
arm($disk, 'file.pread:EIO');
is count_all($disk), 'partial', 'EIO: nothing is readable, the answer says so';
is $disk->metric('spoor_parts_bad'), 0, 'EIO: nothing is BAD';
is $disk->metric('spoor_parts_offline'), 2, 'EIO: but offline';
my $reply = post_traces($disk, resource_spans('s', otlp_span(name => 'c')));
is $reply->{status}, 200, 'EIO: inserts go on';
is count_all($disk), '1 partial', 'EIO: what is in memory is served';
arm($disk, '');
ok wait_for(sub { count_all($disk) eq '500 500 1' }, 20),
    'the disk is well again: all is back' or diag count_all($disk);
is $disk->metric('spoor_parts_offline'), 0, 'nothing is offline';
is $disk->metric('spoor_parts_damaged_total'), 0, 'nothing was damaged';
is $disk->stop, 0, 'stop';
$check = run_command([spoorctl_bin(), 'check', '--deep', $disk->data_dir]);
is $check->{status}, 0, 'check' or diag $check->{out};

# --- damage that a second look does not find --------------------------------------

my $ghost = make(0);
$ghost->restart;
@parts = parts_of($ghost);
$good = slurp($parts[0]);
arm($ghost, 'scrub.before_judge:sleep=1500');
flip($parts[0], $_) for map { int(length($good) * $_ / 50) } 1 .. 40;
is count_all($ghost), '500 partial', 'a query sees damage';
is $ghost->metric('spoor_parts_offline'), 1, 'left out for now';
spew($parts[0], $good);
ok wait_for(sub { count_all($ghost) eq '500 500' }, 15),
    'a second look finds none: it is back' or diag count_all($ghost);
is $ghost->metric('spoor_parts_bad'), 0, 'it was never BAD';
is $ghost->stop, 0, 'stop';

# --- kill -9 between the two marks ---------------------------------------------------

my $killed = make('100MB');
ok wait_for(sub { $killed->metric('spoor_scrub_rounds_total') }, 15), 'a round';
@parts = parts_of($killed);
$good = slurp($parts[0]);
flip($parts[0], int(length($good) / 2));
$killed->{env}{SPOOR_FAULT_FILE} = '';
$killed->{env}{SPOOR_FAULT} = 'scrub.before_edit:kill:1';
$killed->restart;
ok wait_for(sub { $killed->metric(
    'spoor_worker_restarts_total{role="retention"}') == 1 }, 15),
    'killed before the manifest says it';
ok is_bad($killed, 1), 'it is BAD in memory';
is count_all($killed), '500 partial', 'partial';
$killed->{env}{SPOOR_FAULT} = '';
$killed->restart;
ok is_bad($killed, 1), 'and found again after a restart';
is $killed->stop, 0, 'stop';

# --- kill -9 at each step to quarantine ----------------------------------------------

for my $step ('before_edit', 'after_edit', 'after_rename') {
    my $moved = make(0);
    @parts = parts_of($moved);
    $good = slurp($parts[0]);
    $moved->{env}{SPOOR_FAULT_FILE} = '';
    $moved->{env}{SPOOR_FAULT} = "quarantine.$step:kill:1";
    $moved->restart;
    flip($parts[0], $_) for map { int(length($good) * $_ / 50) } 1 .. 40;
    is count_all($moved), '500 partial', "$step: a query sees damage";
    ok wait_for(sub { $moved->metric(
        'spoor_worker_restarts_total{role="retention"}') == 1 }, 20),
        "$step: killed";
    ok quarantined($moved, 1), "$step: the next one moves it";
    ok is_bad($moved, 1), "$step: BAD";
    is count_all($moved), '500 partial', "$step: the rest is served";
    $moved->{env}{SPOOR_FAULT} = '';
    $moved->restart;
    is count_all($moved), '500 partial', "$step: after a restart, too";
    spew("$parts[0].new", $good);
    utime 1, 1, "$parts[0].new";
    rename "$parts[0].new", $parts[0];
    ok wait_for(sub { count_all($moved) eq '500 500' }, 20),
        "$step: a good copy is taken" or diag count_all($moved);
    is $moved->stop, 0, "$step: stop";
    $check = run_command([spoorctl_bin(), 'check', '--deep',
        $moved->data_dir]);
    is $check->{status}, 0, "$step: check" or diag $check->{out};
}

done_testing;
