# SPDX-License-Identifier: BSD-2-Clause
#
# make install and uninstall below a DESTDIR, and what systemd says of the
# units.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Test::Spoor;

chdir spoor_root();
plan skip_all => 'not configured here' unless -f 'Makefile' && -x spoor_bin();

my $dir = tempdir(CLEANUP => 1);
my @vars = ("DESTDIR=$dir", 'prefix=/usr', 'sysconfdir=/etc',
    'localstatedir=/var');

# -o all: what is tested is what is built already.
sub make {
    my (@words) = @_;
    local %ENV = %ENV;

    delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};
    my $ran = run_command(['make', '-s', '-o', 'all', @words, @vars,
        'OBJDIR=' . ($ENV{SPOOR_OBJDIR} || 'objs')],
        seconds => 120);
    diag $ran->{err} if $ran->{status};
    return $ran->{status};
}

sub files {
    return sort grep { length } map { s/^\Q$dir\E//r }
        split /\n/, `find $dir -type f`;
}

is make('install'), 0, 'make install';
my %is_there = map { $_ => 1 } files();
ok $is_there{$_}, $_ for qw(/usr/sbin/spoor /usr/bin/spoorctl
    /etc/spoor/spoor.yaml /usr/share/man/man8/spoor.8
    /usr/share/man/man5/spoor.yaml.5 /usr/lib/systemd/system/spoor.service
    /usr/lib/systemd/system/spoor.socket /usr/lib/sysusers.d/spoor.conf
    /usr/lib/tmpfiles.d/spoor.conf /etc/logrotate.d/spoor);
ok -d "$dir/var/lib/spoor", 'the directory of the data';
like run_command(["$dir/usr/sbin/spoor", '-v'])->{out}, qr/^spoor \d/,
    'the binary runs';
like slurp("$dir/etc/spoor/spoor.yaml"), qr{path: /var/lib/spoor$}m,
    'the configuration names the data';

# What somebody has changed stays.
open my $out, '>>', "$dir/etc/spoor/spoor.yaml";
print $out "# mine\n";
close $out;
is make('install'), 0, 'again';
like slurp("$dir/etc/spoor/spoor.yaml"), qr/# mine/, 'a configuration stays';

# Another prefix is in the units, too.
my $other = tempdir(CLEANUP => 1);
@vars = ("DESTDIR=$other", 'prefix=/opt/x', 'sysconfdir=/opt/x/etc',
    'localstatedir=/opt/x/var');
is make('install'), 0, 'another prefix';
my $unit = slurp("$other/opt/x/lib/systemd/system/spoor.service");
like $unit, qr{^ExecStart=/opt/x/sbin/spoor -c /opt/x/etc/spoor/spoor\.yaml$}m,
    'is in the unit';
like $unit, qr{^ReadWritePaths=-/opt/x/var/lib/spoor$}m, 'with its data';
@vars = ("DESTDIR=$dir", 'prefix=/usr', 'sysconfdir=/etc',
    'localstatedir=/var');

# --- systemd ------------------------------------------------------------------------

SKIP: {
    skip 'no systemd-analyze', 2
        if system('systemd-analyze --version >/dev/null 2>&1') != 0;
    my $units = tempdir(CLEANUP => 1);
    for my $name (qw(spoor.service spoor.socket)) {
        my $text = slurp("$dir/usr/lib/systemd/system/$name");
        $text =~ s{/usr/sbin/spoor}{$dir/usr/sbin/spoor}g;
        # Its pages are not installed here.
        $text =~ s/^Documentation=.*\n//m;
        open my $file, '>', "$units/$name";
        print $file $text;
        close $file;
    }
    my $ran = run_command(['systemd-analyze', 'verify',
        "$units/spoor.service", "$units/spoor.socket"]);
    is $ran->{err} . $ran->{status}, '0', 'systemd has nothing to say';
    $ran = run_command(['systemd-analyze', 'security', '--offline=true',
        '--no-pager', "$units/spoor.service"]);
    my ($level) = $ran->{out} =~ /exposure level for spoor\.service: ([\d.]+)/;
    skip 'no systemd-analyze security --offline', 1 unless defined $level;
    cmp_ok $level, '<=', 2.0, 'little is exposed';
}
SKIP: {
    skip 'no systemd-sysusers', 1
        if system('systemd-sysusers --version >/dev/null 2>&1') != 0;
    my $ran = run_command(['systemd-sysusers', '--dry-run',
        "$dir/usr/lib/sysusers.d/spoor.conf"]);
    like $ran->{err} . $ran->{out}, qr/spoor/, 'the user';
}
SKIP: {
    skip 'no logrotate', 1
        if system('logrotate --version >/dev/null 2>&1') != 0;
    my $ran = run_command(['logrotate', '-d', "$dir/etc/logrotate.d/spoor"]);
    unlike $ran->{err}, qr/syntax|unknown option/, 'logrotate reads its file';
}

# --- uninstall -----------------------------------------------------------------------

is make('uninstall'), 0, 'make uninstall';
is join(' ', files()), '/etc/spoor/spoor.yaml',
    'nothing is left but the configuration';
ok -d "$dir/var/lib/spoor", 'and the data';

done_testing;
