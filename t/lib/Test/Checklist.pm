# SPDX-License-Identifier: BSD-2-Clause
#
# The checklist of LogsQL, t/data/checklist: read by t/45-checklist.t, printed
# as docs/logsql-checklist.md by tools/gen-docs.sh.
#
#     for my $line (checklist('t/data/checklist')) {
#         # { n, text, section, also => [...], differs, checks => [
#         #     { path, query, args => [k, v ...], headers => {...},
#         #       kind => 'ids' ..., want }] }
#     }

package Test::Checklist;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(checklist checklist_page);

my %is_answer = map { $_ => 1 }
    qw(ids order rows list json status canon tail);

sub add_check {
    my ($line, $key, $value) = @_;
    my $check = { path => 'query', query => '', args => [], headers => {} };

    $check->{$key eq 'ask' ? 'query' : 'path'} = $value;
    push @{$line->{checks}}, $check;
    return;
}

sub add_key {
    my ($line, $key, $value) = @_;
    my $check = $line->{checks}[-1];

    if ($key eq 'ask' || $key eq 'get') {
        add_check($line, $key, $value);
    } elsif ($key eq 'also') {
        $line->{also} = [split ' ', $value];
    } elsif ($key eq 'differs') {
        $line->{differs} = $value;
    } elsif ($key eq 'with') {
        push @{$check->{args}}, $value =~ /^(\w+)=(.*)$/s;
    } elsif ($key eq 'as') {
        my ($name, $text) = $value =~ /^(\w+)=(.*)$/;
        $check->{headers}{$name} = $text;
    } elsif ($is_answer{$key} && !$check->{kind}) {
        @$check{qw(kind want)} = ($key, $value);
    } else {
        die "line $line->{n}: $key?\n";
    }
    return;
}

# All lines of the file; dies where it cannot be read.
sub checklist {
    my ($file) = @_;
    my ($section, @lines) = ('');

    open my $in, '<:encoding(UTF-8)', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    # Indented lines belong to the one above.
    $text =~ s/\n  /\0/g;
    for my $row (split /\n/, $text) {
        $row =~ tr/\0/\n/;
        next if $row =~ /^(?:#|$)/;
        if ($row =~ /^== (.*)/) {
            $section = $1;
        } elsif ($row =~ /^(\d+)\. (.*)/s) {
            push @lines, { n => $1, text => $2, section => $section,
                checks => [], also => [], differs => '' };
        } elsif (@lines && $row =~ /^(\w+): ?(.*)/s) {
            add_key($lines[-1], $1, $2);
        } else {
            die "$file: $row?\n";
        }
    }
    return @lines;
}

# --- the page -----------------------------------------------------------------

sub code {
    my ($text) = @_;

    $text =~ s/\n/\\n/g;
    $text =~ s/\|/\\|/g;
    return $text =~ /`/ ? "`` $text ``" : "`$text`";
}

# The first question, short.
sub example {
    my ($check) = @_;
    my %arg = @{$check->{args}};

    return code($check->{query}) if $check->{query} ne '';
    return code("/select/logsql/$check->{path}?" . join '&',
        map { "$_=$arg{$_}" } grep { defined $arg{$_} }
        qw(query step field limit));
}

sub covered {
    my ($line) = @_;
    my @names = map { "`$_`" } @{$line->{also}};

    return join ', ', "$line->{n} of `t/45-checklist.t`", @names;
}

# The whole page as text.
sub checklist_page {
    my (@lines) = @_;
    my $section = '';
    my $page = <<"END_OF_HEAD";
# The checklist of LogsQL

<!-- Generated from t/data/checklist by `make docs`; do not edit. -->

What the language promises, line by line, and the tests that hold it. Each
line is asked by `t/45-checklist.t` of six spans, from memory and from parts;
`logsql/...` are groups of the recorded cases that `t/90-conformance.t` runs.
\x{2260} says where spoor differs from VictoriaTraces on purpose; more of that is
in [LogsQL in spoor](logsql.md) and [the LogsQL API](logsql-api.md).
END_OF_HEAD

    for my $line (@lines) {
        if ($line->{section} ne $section) {
            $section = $line->{section};
            $page .= "\n## $section\n\n| | what | for example | tested by |\n"
                . "|---|---|---|---|\n";
        }
        my $text = $line->{text};
        $text .= "; \x{2260} $line->{differs}" if $line->{differs} ne '';
        $text =~ s/\|/\\|/g;
        $page .= "| $line->{n} | $text | " . example($line->{checks}[0])
            . ' | ' . covered($line) . " |\n";
    }
    return $page;
}

1;
