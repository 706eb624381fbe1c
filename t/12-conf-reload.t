#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# A running server and its file: a mistake changes nothing and is told to
# who asked and to the log; a good file is taken; what needs a restart is
# named.

use strict;
use warnings;

use FindBin qw($Bin);
use lib "$Bin/lib";
use Test::More;
use Test::Spoor;

my $spoor = Test::Spoor->new(conf => { workers => 1 });
my @self = (spoor_bin(), '-c', $spoor->conf_file);

sub verb {
    return run_command([@self, '-s', $_[0]]);
}

$spoor->start;
my $before = join ' ', sort @{$spoor->pids->{worker}};

# --- a mistake ----------------------------------------------------------------

$spoor->write_conf('workers' => 999);
my $got = verb('reload');
isnt $got->{status}, 0, 'a bad file: -s reload fails';
like $got->{err}, qr/^\S+:\d+:\d+: error: "workers" must be 0\.\.256, not "999"
 +\d+ \| workers: .*999.*
 +\| +\^/m, 'and shows the mistake';
$spoor->signal('HUP');
ok wait_for(sub { $spoor->log =~ /reload failed/ }), 'HUP: the log tells';
like $spoor->log, qr/"workers" must be 0\.\.256/, 'why';
is join(' ', sort @{$spoor->pids->{worker}}), $before, 'the same workers';
is $spoor->get('/health')->{status}, 200, 'still answering';

# --- a good file --------------------------------------------------------------

$spoor->write_conf('workers' => 2);
$got = verb('reload');
is $got->{status}, 0, 'a good file: -s reload' or diag($got->{err});
like $got->{out}, qr/^reload: done, 2 workers$/, 'says what it did';
ok wait_for(sub { @{$spoor->pids->{worker}} == 2 }),
    'two workers, when the one before has ended';
is $spoor->get('/health')->{status}, 200, 'still answering';

$spoor->stop;
$got = verb('reload');
is $got->{status}, 1, 'nobody is there';
like $got->{err}, qr/^spoor: -s reload: /, 'says so';

done_testing();
