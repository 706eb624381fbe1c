# SPDX-License-Identifier: BSD-2-Clause
#
# The rules of STYLE.md that a program can check.

use strict;
use warnings;

use File::Find;
use Test::More;

my $lines_max = 650;        # of a file
my $function_max = 70;      # lines of a body with its braces
my $columns = 80;           # reported
my $columns_max = 100;      # refused
my $parameters_max = 5;
my $nesting_max = 4;        # braces within a body
my $complexity_max = 20;    # pmccabe, a switch counts once

# "file:function" => why it may be longer, deeper or wider than the rules.
my %exceptions = (
    'src/storage/memtable_read.c:memtable_read_trace' =>
        'one call site; a struct of the same eight would hide the call',
    'src/storage/part_write.c:part_encode' =>
        'one call site; what goes in and what comes out, each once',
    'src/storage/part_read.c:part_read_trace' =>
        'the same question as memtable_read_trace()',
    'src/storage/part_read.c:part_read_rows' =>
        'a range of rows in, three results out',
    'src/cluster/rows_wire.c:rows_put' =>
        'what, of it which columns and rows, and how much',
    (map { ("src/http/h2_session.c:$_" => 'a callback type of nghttp2') }
        qw(on_header on_invalid_header on_data_chunk on_send_data)),
    'src/http/h2_reply.c:read_reply' => 'a callback type of nghttp2',
    (map { ("src/event/$_" => 'a callback type of OpenSSL') }
        qw(tls.c:tls_on_message tls_listener.c:on_protocols
        tls_ticket.c:ticket_key)),
);

# Files that may have long lines, with the reason.
my %long_lines = (
);

my @banned = (
    [qr/\b(?:TODO|FIXME|XXX|HACK)\b/, 'unfinished work belongs in an issue'],
    [qr/\b(?:whitelist|blacklist)\b/i, 'say what is allowed or refused'],
    [qr/\balloca\s*\(/, 'alloca() has no limit'],
    [qr/^(?:<{7}|>{7}|={7})(?: |$)/, 'an unfinished merge'],
);

my @files;
find({ no_chdir => 1, wanted => sub {
    if (-d && m{/(?:node_modules|corpus|data)$}) {
        $File::Find::prune = 1;
        return;
    }
    push @files, $_ if -f && m{\.(?:[ch]|def|t|pm|pl|sh|proto|mjs|js|py)$}
        || -f && m{^(?:auto/\w[\w-]*|t/run|bench/\w+|\.ci/run)$};
} }, grep { -e } qw(src t fuzz bench tools auto proto .ci));
push @files, 'configure', 'Makefile.in';
@files = sort @files;

my %text = map { $_ => slurp($_) } @files;
my @c_files = grep { /\.[ch]$/ } @files;
my %function_count;

sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

# A complaint at a time would drown the list, so a rule is one test.
sub rule {
    my ($name, @complaints) = @_;

    ok(!@complaints, $name) or diag(join "\n", @complaints);
    return;
}

# The text of C code with comments, strings and characters blanked out; line
# numbers stay.
sub bare {
    my ($code) = @_;

    $code =~ s{
        (/\*.*?\*/ | //[^\n]* | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
    }{ (my $s = $1) =~ s/[^\n]/ /g; $s }gsex;
    return $code;
}

# [name, line, parameters, body lines, deepest nesting] of each function.
sub functions {
    my ($text) = @_;
    my @lines = split /\n/, bare($text);
    my @found;

    for (my $i = 0; $i < @lines; $i++) {
        next unless $lines[$i] =~ /^\{/;
        my $start = $i;
        my $head = '';
        for (my $h = $i - 1; $h >= 0 && $lines[$h] =~ /\S/
            && $lines[$h] !~ /[;}]\s*$|^#/; $h--) {
            $head = "$lines[$h] $head";
        }
        my ($depth, $deepest) = (0, 0);
        for (; $i < @lines; $i++) {
            for ($lines[$i] =~ /[{}]/g) {
                $depth += $_ eq '{' ? 1 : -1;
                $deepest = $depth if $depth > $deepest;
            }
            last if $depth <= 0;
        }
        $head =~ s/\b(?:PRINTF_LIKE|IMPL|__attribute__)\s*\([^()]*\)//g;
        next unless $head =~ /(\w+)\s*\((.*)\)[^()]*$/s;
        push @found, [$1, $start + 1, parameters($2), $i - $start + 1,
            $deepest - 1];
    }
    return @found;
}

sub parameters {
    my ($list) = @_;

    1 while $list =~ s/\([^()]*\)//g;
    return 0 if $list =~ /^\s*(?:void)?\s*$/;
    return scalar grep { !/\.\.\./ } split /,/, $list;
}

rule('each file names its licence first', grep {
    my $text = $text{$_};
    $text =~ s/^#![^\n]*\n//;
    $text !~ m{^(?:/\*|//|#) SPDX-License-Identifier: BSD-2-Clause}
} @files);

my (@long, @too_long, @spaces, @words);
for my $file (@files) {
    my $line = 0;
    for (split /\n/, $text{$file}) {
        $line++;
        my $at = "$file:$line";
        push @spaces, "$at: a tab" if /\t/ && $file ne 'Makefile.in';
        push @spaces, "$at: space at the end" if /[ \t\r]$/;
        if ($file ne 't/00-tidy.t') {
            for my $ban (@banned) {
                push @words, "$at: $ban->[1]" if $_ =~ $ban->[0];
            }
        }
        next if $file =~ /\.def$/ || $long_lines{$file};
        (my $seen = $_) =~ s/[\x80-\xbf]//g;
        push @too_long, "$at: " . length($seen) . ' columns'
            if length $seen > $columns_max;
        push @long, $at if length $seen > $columns;
    }
    push @spaces, "$file: no newline at the end"
        if length $text{$file} && $text{$file} !~ /\n\z/;
}
rule("lines of at most $columns_max columns", @too_long);
diag(@long . " lines are over $columns columns, the first at $long[0]")
    if @long;
rule('no tabs, no space at the end of a line', @spaces);
rule('no banned words', @words);

rule("files of at most $lines_max lines", map {
    my $lines = $text{$_} =~ tr/\n//;
    $lines > $lines_max && !$exceptions{$_} ? "$_: $lines lines" : ();
} grep { !/\.def$/ } @files);

my (@length, @wide, @deep, %used);
for my $file (@c_files) {
    for my $function (functions($text{$file})) {
        my ($name, $line, $parameters, $lines, $nesting) = @$function;
        my $at = "$file:$line: $name()";
        my $is_product = $file =~ m{^src/};
        $function_count{total}++;
        if ($exceptions{"$file:$name"}) {
            $used{"$file:$name"}++;
            next;
        }
        push @length, "$at has $lines lines" if $lines > $function_max;
        push @wide, "$at has $parameters parameters"
            if $is_product && $parameters > $parameters_max;
        push @deep, "$at nests $nesting deep"
            if $is_product && $nesting > $nesting_max;
    }
}
rule("functions of at most $function_max lines", @length);
rule("at most $parameters_max parameters", @wide);
rule("at most $nesting_max levels of nesting", @deep);
rule('every exception is needed', grep { /:/ && !$used{$_} } keys %exceptions);
cmp_ok($function_count{total}, '>', 10, 'functions are seen');

# "core/base.h" first, then the file's own header when there is one; headers
# of the system stand where they like behind it.
my @order;
for my $file (grep { m{^src/|^t/unit/.*\.c$|^fuzz/} } @c_files) {
    next if $file eq 'src/core/base.h';
    my ($first) = $text{$file} =~ /^#include ([<"][^>"]+[>"])/m;
    my @ours = $text{$file} =~ /^#include ("[^"]+")/mg;
    my $own = $file =~ m{^src/(.*)\.c$} && -e "src/$1.h" ? "\"$1.h\"" : undef;
    $first = $ours[0] if $file =~ /\.h$/;
    if (($first || '') ne '"core/base.h"') {
        push @order, "$file: the first include is not core/base.h";
    } elsif ($own && ($ours[1] || '') ne $own) {
        push @order, "$file: the second include is not $own";
    }
}
rule('order of includes', @order);

rule('header guards', map {
    my $guard = uc "SPOOR_$1" if m{^src/(.*)$};
    $guard =~ s{[/.]}{_}g;
    $text{$_} =~ /^#ifndef \Q$guard\E\n#define \Q$guard\E\n/m
        ? () : "$_: the guard is not $guard";
} grep { m{^src/.*\.h$} } @c_files);

SKIP: {
    skip 'pmccabe is not installed', 1
        if system('pmccabe -V > /dev/null 2>&1') != 0;
    my @sources = grep { m{^src/.*\.c$} } @c_files;
    my @complex;
    for (`pmccabe @sources 2> /dev/null`) {
        my ($modified, undef, undef, undef, undef, $where, $name) = split;
        next unless defined $name && $modified > $complexity_max;
        $where =~ s/\(\d+\):?$//;
        next if $exceptions{"$where:$name"};
        push @complex, "$where: $name has complexity $modified";
    }
    rule("complexity of at most $complexity_max", @complex);
}

# A lock file with addresses would tie a build to one registry.
rule('no registry address in a lock file', grep {
    slurp($_) =~ /"resolved"/
} grep { -e } glob 't/*/package-lock.json ui/package-lock.json');

done_testing;
