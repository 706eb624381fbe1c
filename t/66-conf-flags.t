#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# Every flag that VictoriaTraces documents is known, and does what
# docs/flags.md says of it: it works, or one warning tells why it has no
# effect, or it is refused with a reason.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $dir = tempdir('spoor-flags-XXXXXX', TMPDIR => 1, CLEANUP => 1);

# Run in the directory, where no file is.
sub spoor {
    my ($words, %option) = @_;

    return run_command([spoor_bin(), '-p', $dir, @$words], %option);
}

my %state;
for (split /\n/, slurp("$Bin/../docs/flags.md")) {
    $state{$1} = [$2, $3] if /^\| `-(\S+)` \| (\w+) \| (.*) \|$/;
}

my @flags = map { [/^(\S+)(?: (.*))?$/] }
    grep { !/^#/ } split /\n/, slurp("$Bin/data/victoriatraces-flags.txt");
cmp_ok(scalar @flags, '>', 120, 'flags of VictoriaTraces');

# Those that need another one to make sense.
my %with = (
    'tls' => [qw(-tlsCertFile=a.pem -tlsKeyFile=a.key)],
    'mtls' => [qw(-tlsCertFile=a.pem -tlsKeyFile=a.key -mtlsCAFile=c.pem)],
    'mtlsCAFile' => [qw(-tlsCertFile=a.pem -tlsKeyFile=a.key)],
    'tlsCertFile' => ['-tlsKeyFile=a.key'],
    'tlsKeyFile' => ['-tlsCertFile=a.pem'],
);
$with{"otlpGRPC.$_"} = [map { s/^-/-otlpGRPC./r } @{$with{$_}}] for keys %with;
push @{$with{$_}}, '-otlpGRPCListenAddr=:4317' for grep { /GRPC/ } keys %with;
$with{'envflag.prefix'} = ['-envflag.enable'];
# Those of storage nodes, with files that exist.
for my $flag (@flags) {
    my ($name, $value) = @$flag;

    next if $name !~ /^storageNode\./;
    $with{$name} = ['-storageNode=localhost:1'];
    push @{$with{$name}}, '-storageNode.username=u' if $name =~ /password/;
    push @{$with{$name}}, '-storageNode.tlsCertFile=c.pem'
        if $name =~ /tlsKeyFile/;
    next if $name !~ /(?:password|username|Token)File$/;
    spew("$dir/$value", "x\n");
    chmod 0600, "$dir/$value";
}

my (%count, @in_vain);
for my $flag (@flags) {
    my ($name, $value) = @$flag;
    my $given = defined $value ? "-$name=$value" : "-$name";
    my ($state, $reason) = @{$state{$name} || ['unknown', '']};
    my $got = spoor([$name eq 'version' ? () : '-T', $given,
        @{$with{$name} || []}]);
    my @said = split /\n/, $got->{err};

    $count{$state}++;
    if ($state eq 'works' && $name =~ /AuthKey$|password$|bearerToken$/) {
        like "$got->{status}$got->{err}", qr/^0-\Q$name\E:\ warning:
            \ "\S+"\ is\ a\ secret\ on\ the\ command\ line,[^\n]*
            \ -\Q$name\E=file:PATH\ names\ a\ file\ with\ it\n\z/x,
            "$given works, with a warning";
    } elsif ($name eq 'storageNode.tlsInsecureSkipVerify') {
        like "$got->{status}$got->{err}", qr/^0-\Q$name\E:\ warning:
            \ "\S+"\ is\ on\ for\ localhost:1:[^\n]+\n\z/x,
            "$given works, with a warning";
    } elsif ($state eq 'works') {
        is "$got->{status}$got->{err}", '0', "$given works";
    } elsif ($state eq 'accepted') {
        push @in_vain, $given;
        is "$got->{status} @said",
            "0 command line: warning: -$name has no effect: $reason",
            "$given is accepted";
    } else {
        is "$got->{status} $said[0]", "1 command line: -$name: $reason",
            "$given is refused";
    }
}
note join ', ', map { "$count{$_} $_" } sort keys %count;

is spoor(['-help', 'fs.disableMmap'])->{out},
    "-fs.disableMmap is accepted without effect: parts are read, not"
    . " mapped\n", '-help of a flag without effect';
is spoor(['-help', '-tlsAutocertHosts'])->{out} =~ s/:.*//sr,
    '-tlsAutocertHosts is refused', '-help of one that is refused';

# --- forms --------------------------------------------------------------------

my $got = spoor(['-T', @in_vain]);
my @warnings = $got->{err} =~ /: warning: /g;
is scalar(@warnings), scalar(@in_vain), 'a warning for each of them';
is spoor(['-T', '-enableTCP6=false'])->{err}, '', 'false asks for nothing';
is spoor(['-T', '-storageNode='])->{status}, 0, 'nor does an empty list';
is spoor(['-T', '-tlsAutocertHosts='])->{status}, 0,
    'nor one of a flag that is refused';
like spoor(['-T', '-fs.disableMmap', '-workers=3'])->{out}, qr/^workers: 3 /m,
    'a boolean takes no word';
like spoor(['-T', '-fs.maxConcurrency', '9', '-workers=3'])->{out},
    qr/^workers: 3 /m, 'another takes one';
$got = spoor(['-T', '-fs.maxConcurrency=1', '-fs.maxConcurrency=2']);
is scalar(() = $got->{err} =~ /warning/g), 1, 'given twice, said once';

$got = spoor(['-T', '-envflag.enable', '-envflag.prefix=VM_'], env => {
    VM_internStringMaxLen => 5,
    VM_fs_disableMmap => 'true',
    VM_tlsAutocertEmail => 'a',
});
is $got->{status}, 1, 'a refused variable';
is $got->{err} =~ s/^[^\n]*configuration not used\n//mr
    =~ s/not fetched\K: give .*//r, <<'END', 'variables';
environment: warning: VM_fs_disableMmap has no effect: parts are read, not mapped
environment: warning: VM_internStringMaxLen has no effect: there is no such cache
environment: VM_tlsAutocertEmail: certificates are not fetched
END

# --- the log of a server ------------------------------------------------------

my $spoor = Test::Spoor->new(args => ['-fs.disableMmap',
    '-internStringMaxLen=9', '-loggerFormat=json']);
$spoor->start;
my $log = $spoor->log;
like $log, qr/"level":"warn".*-fs\.disableMmap has no effect/,
    'the log has the warning';
is scalar(() = $log =~ /has no effect/g), 2, 'each once';
is scalar(grep { !/^\{.*\}$/ } split /\n/, $log), 0, 'all lines are JSON';
$spoor->stop;

done_testing();
