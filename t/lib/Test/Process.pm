# SPDX-License-Identifier: BSD-2-Clause
#
# For tests of the process model: servers that are t/helper/process.c, which
# has a toy in place of HTTP and the store, so that tests can have any process
# fail on demand.
#
#     my $toy = toy(conf => { workers => 2 }, env => { TOY_HANG => 1 });
#     $toy->start;
#     my ($status, $text) = ask($toy, 'reload');

package Test::Process;

use strict;
use warnings;

use Exporter qw(import);
use Test::Spoor;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(toy ask role_pids is_gone respawned slow_request body_of);

$ENV{SPOOR_OBJDIR} ||= spoor_root() . '/objs';
$ENV{SPOOR_BIN} = "$ENV{SPOOR_OBJDIR}/t/helper/process";

sub toy {
    my (%option) = @_;

    return Test::Process::Server->new(%option);
}

# -s VERB: exit status and what was printed.
sub ask {
    my ($toy, $verb) = @_;
    my $ran = run_command([spoor_bin(), '-c', $toy->conf_file, '-s', $verb]);

    return ($ran->{status}, $ran->{out} . $ran->{err});
}

sub role_pids {
    my ($toy, $role) = @_;

    return @{$toy->pids->{$role} || []};
}

sub is_gone {
    my ($pid, $seconds) = @_;

    return wait_for(sub { !is_alive($pid) }, $seconds || 5);
}

# Seconds until the role has as many processes as before, none of them pid.
sub respawned {
    my ($toy, $role, $pid, $count) = @_;
    my $start = time();

    wait_for(sub {
        my @now = role_pids($toy, $role);
        return @now == $count && !grep { $_ == $pid } @now;
    }, 10) or return;
    return time() - $start;
}

# A request that is answered after ms; returns the socket at once.
sub slow_request {
    my ($toy, $ms) = @_;
    my $socket = $toy->connect;

    syswrite $socket, "GET /slow?$ms HTTP/1.1\r\nHost: x\r\n\r\n";
    sleep 0.1;
    return $socket;
}

sub body_of {
    my ($toy, $socket, $seconds) = @_;
    my $text = $toy->read_raw($socket, seconds => $seconds || 10);

    return $text =~ /\r\n\r\n(.*)\z/s ? $1 : undef;
}

# A toy serves before all of its processes are ready; the pid file tells.
package Test::Process::Server;

our @ISA = ('Test::Spoor');

sub start {
    my ($self) = @_;
    my $file = $self->data_dir . '/' . ($self->{conf}{pid} || 'spoor.pid');

    $self->SUPER::start;
    Test::Spoor::wait_for(sub {
        open my $in, '<', $file or return 0;
        return (<$in> || '') eq $self->pid . "\n";
    }, 30) or die "not all processes are ready\n";
    return $self;
}

1;
