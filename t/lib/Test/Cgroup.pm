# SPDX-License-Identifier: BSD-2-Clause
#
# A control group with limits for a test or benchmark: version 2 when its
# controllers are there, else version 1.  Groups are made below the caller's
# own, so limits that bind the caller bind them, too.
#
#     my $group = Test::Cgroup->new(memory => 256 << 20, cpu => 0.1);
#     die Test::Cgroup->why unless $group;    # not permitted here
#     $group->enter;                          # this process
#     $group->cpu(0);                         # no CPU limit any more

package Test::Cgroup;

use strict;
use warnings;

use Time::HiRes qw(sleep);

my $why = '';
my $count = 0;

sub why { return $why }

sub _read {
    my ($path) = @_;

    open my $in, '<', $path or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

sub _write {
    my ($path, $text) = @_;

    open my $out, '>', $path or do { $why = "$path: $!"; return 0 };
    my $good = syswrite $out, $text;
    close $out or $good = undef;
    $why = "$path: $!" unless defined $good;
    return defined $good;
}

# Where the caller is: controller name (or '' for version 2) to path.
sub _own {
    my %own;

    for my $line (split /\n/, _read('/proc/self/cgroup')) {
        my (undef, $names, $path) = split /:/, $line, 3;
        $path = '' if $path eq '/';
        $own{$_} = $path for $names eq '' ? '' : split /,/, $names;
    }
    return \%own;
}

sub _make {
    my ($self, $kind, $path) = @_;

    if (!-d $path && !mkdir $path) {
        $why = "$path: $!";
        return 0;
    }
    $self->{dirs}{$kind} = $path;
    return 1;
}

sub _new_v2 {
    my ($self, $own) = @_;
    my ($root) = grep { _read("$_/cgroup.controllers") =~ /\bmemory\b/ }
        '/sys/fs/cgroup', '/sys/fs/cgroup/unified';

    return 0 unless defined $root && defined $own->{''};
    my $parent = $root . $own->{''};
    _write("$parent/cgroup.subtree_control", '+memory +cpu');
    my $dir = "$parent/$self->{name}";
    return 0 unless $self->_make('', $dir);
    if (!-e "$dir/memory.max" || !-e "$dir/cpu.max") {
        $why = "$parent: the controllers are not delegated";
        rmdir $dir;
        delete $self->{dirs}{''};
        return 0;
    }
    $self->{version} = 2;
    return 1;
}

sub _new_v1 {
    my ($self, $own) = @_;

    for my $kind (qw(memory cpu)) {
        my ($mount) = grep { -d }
            map { "/sys/fs/cgroup/$_" } $kind, "$kind,cpuacct";

        if (!defined $mount || !defined $own->{$kind}) {
            $why = "no control group for $kind";
            return 0;
        }
        return 0
            unless $self->_make($kind, "$mount$own->{$kind}/$self->{name}");
    }
    # Counts CPU time; of its own or mounted together with cpu.
    my $count = '/sys/fs/cgroup/cpuacct';
    $self->_make('cpuacct', "$count$own->{cpuacct}/$self->{name}")
        if -d $count && !-l $count && defined $own->{cpuacct};
    $self->{version} = 1;
    return 1;
}

sub new {
    my ($class, %limit) = @_;
    my $self = bless { name => "spoor-$$-" . ++$count, dirs => {},
        owner => $$ }, $class;
    my $own = _own();

    return unless $self->_new_v2($own) || $self->_new_v1($own);
    my $good = $self->{version} == 2
        ? _write("$self->{dirs}{''}/memory.max", $limit{memory})
        : _write("$self->{dirs}{memory}/memory.limit_in_bytes",
            $limit{memory});
    return unless $good && $self->cpu($limit{cpu});
    return $self;
}

# Share of one CPU; 0: no limit.
sub cpu {
    my ($self, $share) = @_;
    my $quota = int($share * 100000);

    return $self->{version} == 2
        ? _write("$self->{dirs}{''}/cpu.max",
            ($quota > 0 ? $quota : 'max') . ' 100000')
        : _write("$self->{dirs}{cpu}/cpu.cfs_period_us", 100000)
            && _write("$self->{dirs}{cpu}/cpu.cfs_quota_us",
                $quota > 0 ? $quota : -1);
}

sub enter {
    my ($self) = @_;

    _write("$_/cgroup.procs", $$) or die "$why\n"
        for values %{$self->{dirs}};
    return;
}

sub version { return $_[0]{version} }

# Bytes: now, highest (with file cache), and not reclaimable now.
sub memory {
    my ($self) = @_;
    my $dir = $self->{version} == 2 ? $self->{dirs}{''}
        : $self->{dirs}{memory};
    my %stat = _read("$dir/memory.stat") =~ /^(\w+) (\d+)$/mg;

    return {
        now => 0 + (_read("$dir/memory.current")
            || _read("$dir/memory.usage_in_bytes")),
        peak => 0 + (_read("$dir/memory.peak")
            || _read("$dir/memory.max_usage_in_bytes") || 0),
        held => $self->{version} == 2 ? $stat{anon} + $stat{shmem}
            : $stat{total_rss} + $stat{total_shmem},
    };
}

# Of all CPUs, of all processes that ever were in the group.
sub cpu_seconds {
    my ($self) = @_;

    return _read("$self->{dirs}{''}/cpu.stat") =~ /^usage_usec (\d+)/m
        ? $1 / 1e6 : 0 if $self->{version} == 2;
    my $dir = $self->{dirs}{cpuacct} || $self->{dirs}{cpu};
    return (_read("$dir/cpuacct.usage") || 0) / 1e9;
}

# How often the kernel killed a process of the group for memory.
sub oom_kills {
    my ($self) = @_;
    my $text = $self->{version} == 2
        ? _read("$self->{dirs}{''}/memory.events")
        : _read("$self->{dirs}{memory}/memory.oom_control");

    return $text =~ /^oom_kill (\d+)/m ? $1 : 0;
}

sub remove {
    my ($self) = @_;

    for my $dir (values %{$self->{dirs}}) {
        for (1 .. 50) {
            last if rmdir $dir or !-d $dir;
            sleep 0.1;
        }
    }
    $self->{dirs} = {};
    return;
}

sub DESTROY {
    my ($self) = @_;

    $self->remove if $self->{owner} == $$;
    return;
}

1;
