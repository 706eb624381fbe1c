# SPDX-License-Identifier: BSD-2-Clause
#
# One table: figures down, runs across, beside what they aim at and must
# reach.

package Bench::Table;

use strict;
use warnings;

sub new { return bless { names => [], rows => {}, columns => [] }, $_[0] }

# One figure of one column; aim and must once for all columns.
sub put {
    my ($self, $column, $name, $value, $aim, $must) = @_;
    my $row = $self->{rows}{$name} ||= do {
        push @{$self->{names}}, $name;
        { aim => '', must => '', cell => {} };
    };

    push @{$self->{columns}}, $column
        unless grep { $_ eq $column } @{$self->{columns}};
    $row->{aim} ||= defined $aim ? $aim : '';
    $row->{must} ||= defined $must ? $must : '';
    $row->{cell}{$column} = $value;
    return;
}

sub print {
    my ($self) = @_;
    my $width = 19;

    printf "%-58s %6s %6s", '', 'aim', 'must';
    printf " %${width}s  ", $_ for @{$self->{columns}};
    print "\n";
    for my $name (@{$self->{names}}) {
        my $row = $self->{rows}{$name};
        printf "%-58s %6s %6s", $name, $row->{aim}, $row->{must};
        for my $column (@{$self->{columns}}) {
            my $cell = $row->{cell}{$column};
            $cell = '' unless defined $cell;
            printf " %${width}s %s", $cell,
                is_missed($cell, $row->{must}) ? '!' : ' ';
        }
        print "\n";
    }
    print "!: misses what it must reach\n";
    return;
}

sub is_missed {
    my ($cell, $must) = @_;

    return $must ne '' && $cell =~ /^([\d.]+)/ && $1 > $must;
}

1;
