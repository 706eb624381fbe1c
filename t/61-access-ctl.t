# SPDX-License-Identifier: BSD-2-Clause
#
# spoorctl where a user or a token is asked for.

use strict;
use warnings;

use File::Temp qw(tempdir);
use Test::More;
use Test::Spoor;

my $dir = tempdir('spoor-ctl-XXXXXX', TMPDIR => 1, CLEANUP => 1);
spew("$dir/tokens", "sesame-of-forty-thieves\n");
my $spoor = Test::Spoor->new(conf => { workers => 1,
    'auth.username' => 'bob', 'auth.password' => 'hunter2-canary',
    'auth.tokens_file' => "$dir/tokens" });
my %other = (SPOOR_URL => $spoor->url, NO_COLOR => 1);

$spoor->start;
spew("$dir/password", "hunter2-canary\nsecond line\n");
spew("$dir/wrong", "hunter3\n");
spew("$dir/token", "sesame-of-forty-thieves");
spew("$dir/empty", '');

sub ctl {
    my ($env, @words) = @_;

    return run_command([spoorctl_bin(), @words], env => { %other, %$env });
}

my @bob = ('--user', 'bob', '--password-file', "$dir/password");
my $run = ctl({}, 'gen', '--traces', 20);
isnt $run->{status}, 0, 'nobody is refused';
like $run->{err}, qr/401/, 'with the status';
$run = ctl({}, 'gen', '--traces', 20, @bob);
is $run->{status}, 0, 'a user may send' or diag $run->{err};
$run = ctl({}, 'query', @bob, '* | count() n');
like $run->{out}, qr/"n":"\d{2,}"/, 'and query' or diag $run->{err};
$run = ctl({}, @bob, 'services');
like $run->{out}, qr/checkout/, 'and ask for services';
$run = ctl({}, 'query', '--token-file', "$dir/token", '* | count() n');
like $run->{out}, qr/"n":"\d{2,}"/, 'a token is as good' or diag $run->{err};
$run = ctl({ SPOOR_USER => 'bob', SPOOR_PASSWORD_FILE => "$dir/password" },
    'query', '* | count() n');
like $run->{out}, qr/"n":/, 'all of it from the environment';
$run = ctl({ SPOOR_TOKEN_FILE => "$dir/token" }, 'export', '--out',
    "$dir/all.jsonl");
is $run->{status}, 0, 'export' or diag $run->{err};
$run = run_command([spoorctl_bin(), 'shell', '--user', 'bob',
    '--password-file', "$dir/password"], stdin => "* | count() n\n",
    env => { %other });
like $run->{out}, qr/"n":"\d+"/, 'the shell' or diag $run->{err};
$run = ctl({}, 'query', '--user', 'bob', '--password-file', "$dir/wrong", '*');
like $run->{err}, qr/401/, 'a wrong password';

# --- what is wrong with it -----------------------------------------------------

for my $case (
    ['a name alone', qr/--user with --password-file/, '--user', 'bob'],
    ['a password alone', qr/--user with --password-file/,
        '--password-file', "$dir/password"],
    ['both kinds', qr/either --token-file/, @bob, '--token-file',
        "$dir/token"],
    ['a colon', qr/a name has no colon/, '--user', 'b:b', '--password-file',
        "$dir/password"],
    ['no such file', qr{\Q$dir\E/none: .*No such file}, '--token-file',
        "$dir/none"],
    ['an empty file', qr{\Q$dir\E/empty: there is nothing}, '--token-file',
        "$dir/empty"],
    ['in the URL', qr/no user and no password here/, '--url',
        'http://bob:hunter2-canary@127.0.0.1:1'],
) {
    my ($name, $want, @words) = @$case;

    $run = ctl({}, 'query', @words, '*');
    isnt $run->{status}, 0, "$name is refused";
    like $run->{err}, $want, "$name: why";
    unlike $run->{err}, qr/canary/, "$name: no secret is shown";
}
unlike $spoor->log, qr/canary|sesame/, 'nor in the log';
$spoor->stop;
done_testing;
