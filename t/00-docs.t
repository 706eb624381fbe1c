# SPDX-License-Identifier: BSD-2-Clause
#
# Documents and code say the same: generated pages are up to date, every
# directive, metric, route and fault point is in its page, links lead
# somewhere, the version is one.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;
use Test::Spoor;

chdir spoor_root();

# All names of a page that stand in backquotes or begin a roff item.
sub missing {
    my ($page, @names) = @_;
    my $text = slurp($page);

    $text =~ s/\\[&e-]//g;
    return grep { index($text, $_) < 0 } @names;
}

sub documented {
    my ($what, $page, @names) = @_;
    my @missing = missing($page, @names);

    ok(@names > 0 && !@missing, "$page has all $what")
        or diag("not in $page: @missing");
    return;
}

# --- generated pages ----------------------------------------------------------

my $dir = tempdir('spoor-docs-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $made = run_command(['tools/gen-docs.sh', $dir]);
is($made->{status}, 0, 'pages are made') or diag($made->{err});

my @pages = map { substr $_, length "$dir/" } sort glob "$dir/*/*";
cmp_ok(scalar @pages, '>=', 8, 'all of them');
for my $page (@pages) {
    ok(slurp($page) eq slurp("$dir/$page"), "$page is up to date")
        or diag(substr(`diff -u $page $dir/$page 2>&1`, 0, 2000),
            "\nrun \"make docs\" and commit");
}

# --- tables -------------------------------------------------------------------

my @directives = slurp('src/core/directives.def')
    =~ /^DIRECTIVE\(\s*\w+,\s*\w+,\s*"([^"]+)"/mg;
my @flags = slurp('src/core/directives.def')
    =~ /^DIRECTIVE\(\s*\w+,\s*\w+,\s*"[^"]+",\s*"([^"]+)"/mg;
documented('directives', 'docs/configuration.md', @directives);
documented('directives', 'man/spoor.yaml.5', @directives);
documented('flags', 'man/spoor.8', @flags);
my %is_directive = map { $_ => 1 } @flags;
my @both = grep { $is_directive{$_} }
    slurp('src/core/flags.def') =~ /^FLAG\("([^"]+)"/mg;
is("@both", '', 'a flag that works has no reason why it does not');
documented('flags of VictoriaTraces', 'docs/flags.md',
    map { /^([^#\s]\S*)/ ? "`-$1`" : () }
    split /\n/, slurp('t/data/victoriatraces-flags.txt'));
documented('directives', 'conf/spoor.full.yaml',
    map { (split /\./)[-1] . ':' } @directives);

my @verbs = slurp('src/cli/cli.c') =~ /^    \{"(\w+)", "/mg;
documented('verbs', 'man/spoorctl.1', map { "spoorctl $_ " } @verbs);

my @metrics = slurp('src/core/metrics.def')
    =~ /^METRIC\(\s*\w+,\s*\w+,\s*"([^"]+)"/mg;
push @metrics, map { slurp($_) =~ /"((?:spoor|vm|vt)_\w+)\{/g }
    glob 'src/*/*.c';
documented('metrics', 'docs/metrics.md', map { "`$_`" } @metrics);

my @routes = slurp('src/api/routes.c') =~ /^\s*\{"(\/[^"]*)"/mg;
documented('routes', 'docs/http-api.md', map { "`$_`" } @routes);

my @faults = map { slurp($_) =~ /\bfault\("([^"]+)"\)/g } glob 'src/*/*.c';
documented('fault points', 'docs/fault-points.md', map { "`$_`" } @faults);

# Tests and scripts that name a metric or a fault point name one that exists.
my %known = map { $_ => 1 } @metrics,
    slurp('src/core/metrics.c') =~ /"((?:spoor|vm|vt)_\w+)/g,
    map { slurp($_) =~ /"((?:spoor|vm|vt|process)_\w+)[ {"\\]/g }
        glob 'src/*/*.c';
my @unknown;
for my $file (glob 't/*.t t/*/*.t bench/*.sh docs/*.md README.md') {
    for my $name (slurp($file) =~ /\b((?:spoor|vt)_\w+_(?:total|seconds))\b/g) {
        push @unknown, "$file: $name" unless $known{$name};
    }
}
is_deeply(\@unknown, [], 'every metric that is spoken of exists');

# --- links and versions -------------------------------------------------------

my @broken;
for my $page (glob '*.md docs/*.md') {
    my ($base) = $page =~ m{^(.*/)?};
    $base = '' unless defined $base;
    for my $link (slurp($page) =~ /\]\(([^)#\s]+)[^)]*\)/g) {
        next if $link =~ m{^\w+:};
        push @broken, "$page: $link" unless -e "$base$link";
    }
}
is_deeply(\@broken, [], 'links of the documents lead to files');

# `storage/wal.c` in a page is a file of src/; `part_*.c` is a pattern.
my @gone;
for my $page (glob '*.md docs/*.md') {
    my %seen;
    for my $path (slurp($page) =~ m{`(?:src/)?((?:core|event|http|span|otlp
        |storage|api|cli)/[\w*]+\.(?:[ch]|def))`}gx) {
        next if $seen{$path}++ || grep { -e } glob "src/$path";
        push @gone, "$page: $path";
    }
}
is_deeply(\@gone, [], 'files that are spoken of exist');

my ($version) = slurp('configure') =~ /^VERSION=(\S+)$/m;
like($version, qr/^\d+\.\d+\.\d+$/, 'a version');
my ($newest) = slurp('CHANGES.md') =~ /^## (\d\S*)/m;
is($newest, $version, 'CHANGES.md begins with this version');
like(run_command([spoor_bin(), '-v'])->{out}, qr/^spoor \Q$version\E$/m,
    'spoor -v');

# A generated page, so mandoc may speak of style, but not of errors.
SKIP: {
    skip 'mandoc is not installed', 1
        if system('mandoc -Tlint /dev/null > /dev/null 2>&1') >> 8 == 127;
    my @lint = grep { /(?:ERROR|WARNING|UNSUPP)/ }
        map { `mandoc -Tlint $_ 2>&1` } glob 'man/*.[1-8]';
    is_deeply(\@lint, [], 'manual pages have no mistakes');
}

done_testing;
