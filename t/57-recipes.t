# SPDX-License-Identifier: BSD-2-Clause
#
# The recipes of docs/operating.md: their commands run as they are written,
# and what they promise is true.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use File::Temp qw(tempdir);
use JSON::PP ();
use POSIX qw(strftime);
use Test::More;
use Test::Otlp;
use Test::Spoor;
use Test::Traces;

my $now = int time;
# Days must not change in the middle.
if ($now % 86400 > 86280) {
    sleep 130 - ($now % 86400 - 86280);
    $now = int time;
}

# --- the recipes --------------------------------------------------------------

my $doc = slurp(spoor_root() . '/docs/operating.md');
my (%recipe, %ran);
my $name;
while ($doc =~ /^(?:#+ ([^\n]*)|```sh\n(.*?)^```)$/msg) {
    if (defined $1) {
        ($name) = $1 =~ /^Recipe: (.*)/;
    } elsif (defined $name) {
        push @{$recipe{$name}}, $2;
    }
}
cmp_ok scalar(keys %recipe), '>=', 9, scalar(keys %recipe) . ' recipes';

# rsync when it is there, else a stand-in: -a --delete --exclude NAME.
my $bin = tempdir('spoor-recipes-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $has_rsync = run_command(['sh', '-c', 'command -v rsync'])->{status} == 0;
diag('no rsync: cp -a in its place') unless $has_rsync;
unless ($has_rsync) {
    open my $out, '>', "$bin/rsync" or die "$bin/rsync: $!\n";
    print $out <<'END';
#!/bin/sh
set -e
exclude= delete=
while :; do
    case $1 in
    -a) ;;
    --delete) delete=1 ;;
    --exclude) exclude=$2; shift ;;
    -*) echo "rsync: $1?" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
[ -z "$delete" ] || rm -rf "$2"
mkdir -p "$2"
cp -a "$1." "$2"
[ -z "$exclude" ] || rm -rf "$2$exclude"
END
    close $out;
    chmod 0755, "$bin/rsync";
}
symlink spoorctl_bin(), "$bin/spoorctl";

# Runs the blocks of a recipe, or only one of them.
sub recipe {
    my ($name, $block, %names) = @_;
    my @blocks = @{$recipe{$name} || []};

    $ran{$name}++;
    @blocks = $blocks[$block] if defined $block;
    ok @blocks && defined $blocks[0], "there is a recipe: $name" or return;
    my $run = run_command(['bash', '-euo', 'pipefail', '-c',
        join "\n", @blocks], seconds => 180,
        env => { %names, PATH => "$bin:$ENV{PATH}" });
    is $run->{status}, 0, "$name: runs"
        or diag "$run->{out}$run->{err}";
    return $run;
}

# --- servers ------------------------------------------------------------------

sub day_of { return strftime('%Y%m%d', gmtime($now - 86400 * $_[0])) }

sub server {
    my $spoor = Test::Spoor->new(conf => { 'storage.retention' => '30d' });

    return $spoor->start;
}

# What a recipe calls a server and its directory.
sub names {
    my ($spoor, %more) = @_;

    return (SPOOR => $spoor->url, DATA => $spoor->data_dir, %more);
}

my $sent = 0;

sub send_spans {
    my ($spoor, $ago, $n) = @_;
    my $end = $now - 86400 * $ago;
    my $reply = post_traces($spoor, resource_spans("day $ago", map {
        otlp_span(name => "span " . ++$sent,
            attributes => [attr('n', { intValue => "$sent" })],
            startTimeUnixNano => $end - 1 . '000000000',
            endTimeUnixNano => $end . '000000000') } 1 .. $n));

    is $reply->{status}, 200, "spans of $ago days ago";
    return;
}

sub attr { return { key => $_[0], value => $_[1] } }

# How many spans there are, and a digest of everything they have.
sub content {
    my ($spoor, $filter) = @_;
    my $reply = $spoor->get('/select/logsql/query?start=0&query='
        . uri($filter || '*'));
    my $json = JSON::PP->new->utf8->canonical;
    my @rows = sort map { $json->encode($json->decode($_)) }
        split /\n/, $reply->{body};

    return @rows . ' spans, ' . md5_hex(join "\n", @rows);
}

sub count { return $_[0] =~ /^(\d+) / ? $1 : -1 }

sub of_day { return "\"resource_attr:service.name\":=\"day $_[0]\"" }

my $spoor = server();
my $data = $spoor->data_dir;
my $backup = $spoor->dir . '/backup';
my $export = $spoor->dir . '/export';
mkdir $_ for $backup, $export;
send_spans($spoor, $_, 50) for 0 .. 3;
ok flush($spoor), 'flushed';
send_spans($spoor, $_, 20) for 0 .. 3; # in memory
my $all = content($spoor);
is count($all), 280, 'a server with four days';
my %place = (BACKUP => $backup, EXPORT => $export, DAY => day_of(2));

# --- backup -------------------------------------------------------------------

recipe('backup with snapshots', undef, names($spoor, %place));
is join(' ', map { m{(\d+)$} } sort glob "$backup/*"),
    join(' ', map { day_of($_) } 3, 2, 1, 0), 'a copy of each day';
is $spoor->post('/internal/partition/snapshot/list', '')->{body} =~ s/\n//r,
    '[]', 'no snapshot is left';
recipe('backup with snapshots', undef, names($spoor, %place));
recipe('backup in an open format', undef, names($spoor, %place));

my $restored = server();
recipe('restore a server', undef, names($restored, %place));
is content($restored), $all, 'a restored server has every span';
is run_command([spoorctl_bin(), 'export', '--url', $restored->url, '--out',
    "$export/again.pb"])->{status}, 0, 'and can be exported';

my $from_otlp = server();
recipe('restore from OTLP files', undef, names($from_otlp, %place));
is content($from_otlp), $all, 'so has one that was filled from OTLP files';

send_spans($spoor, 2, 5);
recipe('backup with rsync twice', undef, names($spoor, %place));
$all = content($spoor);
is count($all), 285, 'nothing is missing afterwards';

# --- restore ------------------------------------------------------------------

recipe('replace a day', undef, names($restored, %place));
is content($restored), $all, 'the day is the one of the backup';
my $empty = server();
recipe('restore a day', undef, names($empty, %place));
is content($empty), content($spoor, of_day(2)), 'one day';
is count(content($empty)), 75, 'of 75 spans';
my $broken = run_command(['bash', '-c', "rm $backup/$place{DAY}/*.l*"]);
my $refusing = server();
my $run = run_command(['bash', '-euc', $recipe{'restore a day'}[0]],
    env => { names($refusing, %place), PATH => "$bin:$ENV{PATH}" });
isnt $run->{status}, 0, 'a backup that is not whole is refused';
like $run->{err}, qr/400/, 'with 400';

# --- tiering ------------------------------------------------------------------

my $slow = server();
my $three = content($spoor, of_day(3));
recipe('move a day', undef, names($slow, %place, DAY => day_of(3),
    FAST => $spoor->url, FAST_DATA => $data));
is content($slow), $three, 'the slow server has the day';
is count($three), 70, 'all of it';
is count(content($spoor)), 285 - 70, 'the fast one has it no more';
run_command(['rm', '-r', "$data/partitions/" . day_of(3)]);
$spoor->restart;
is count(content($spoor)), 285 - 70, 'nor after a restart';
send_spans($spoor, 3, 1);
is count(content($spoor)), 285 - 70, 'late spans are refused';

# --- from another server ------------------------------------------------------

for my $block (0, 1) {
    my $new = server();
    recipe('copy the history of a VictoriaTraces server', $block,
        names($new, %place, OLD => $spoor->url));
    is content($new), content($spoor), 'the same answers';
}

my $twin = server();
recipe('copy one spoor server to another', undef,
    names($twin, OLD => $spoor->url));
is content($twin), content($spoor), 'the same spans';

# --- capacity -----------------------------------------------------------------

my $sizes = recipe('how large a machine', undef);
ok index($doc, "|---|---|---|---|---|---|---|\n$sizes->{out}\n") > 0,
    'the table is what the formula gives' or diag $sizes->{out};

is_deeply [sort keys %ran], [sort keys %recipe], 'all recipes were run';
done_testing;
