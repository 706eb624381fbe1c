# SPDX-License-Identifier: BSD-2-Clause
#
# No function or variable of ours has the name of one in a library we link:
# the linker would silently take one for the other.  And core/ and storage/
# ask the kernel about files, time and chance through src/core/sys.h alone.

use strict;
use warnings;

use Test::More;
use Test::Spoor;

chdir spoor_root();

my $objdir = $ENV{SPOOR_OBJDIR} || 'objs';
my $archive = "$objdir/libspoor.a";

plan skip_all => "$archive is not built" unless -e $archive;

# name => object file.
my %ours;
my $object = '';
for (`nm -g --defined-only $archive 2> /dev/null`) {
    $object = $1 if /^(\S+\.o):/;
    next unless /^[0-9a-f]+ [A-Z] (\w+)$/;
    push @{$ours{$1}}, $object;
}
cmp_ok(scalar keys %ours, '>', 100, 'our names are found');

my @twice = grep { @{$ours{$_}} > 1 } sort keys %ours;
is_deeply(\@twice, [], 'no name is defined twice');

# Every library the programs load, those of libraries included.
my %libraries;
for my $program (spoor_bin(), spoorctl_bin(), glob("$objdir/t/unit/*")) {
    next unless -x $program && -B $program;
    for (`ldd $program 2> /dev/null`) {
        $libraries{$1} = 1 if m{=> (/\S+)};
    }
}
my @libraries = grep { !/sanitizer|lib[at]san|libubsan/ } sort keys %libraries;
cmp_ok(scalar @libraries, '>', 3, 'libraries are found');

my @common;
for my $library (@libraries) {
    for (`nm -D --defined-only $library 2> /dev/null`) {
        next unless /^[0-9a-f]+ [A-Z] ([^@\s]+)/ && $ours{$1};
        push @common, "$1 of $ours{$1}[0] is also in $library";
    }
}
is_deeply(\@common, [], 'no name is that of a library');

# --- calls that belong to sys.h -----------------------------------------------

my %belongs = map { $_ => 1 } qw(access clock_gettime closedir creat dirfd
    faccessat fallocate fallocate64 fdatasync fdopendir flock fopen fopen64
    fstat fstat64 fstatat fstatat64 fsync ftruncate ftruncate64 futimens
    getentropy getrandom gettimeofday link linkat lstat lstat64 mkdir mkdirat
    mmap mmap64 nanosleep open open64 openat openat64 opendir pread pread64
    preadv preadv64 pwrite pwrite64 pwritev pwritev64 random rand readdir
    readdir64 readlink readlinkat rename renameat renameat2 rmdir stat stat64
    statvfs statvfs64 symlink sync syncfs time truncate truncate64 unlink
    unlinkat usleep utimensat __open_2 __open64_2 __pread_chk __pread64_chk
    __readlink_chk);
my %may = (
    # The layer itself.
    sys => '.*', sys_clock => '.*', sys_fault => '.*', fault => '.*',
    # Memory that processes share is no file.
    shm => 'fallocate|ftruncate|mmap',
    # Rights: asked with the effective user's.
    conf_check => 'faccessat',
);
my @calls;
for (`nm -A -u $objdir/src/core/*.o $objdir/src/storage/*.o 2> /dev/null`) {
    next unless m{/(core|storage)/(\w+)\.o:\s+U (\w+)};
    my ($dir, $file, $name) = ($1, $2, $3);
    next if !$belongs{$name} || !-e "src/$dir/$file.c";
    push @calls, "src/$dir/$file.c calls $name"
        if !$may{$file} || $name !~ /^(?:$may{$file})(?:64)?$/;
}
is_deeply(\@calls, [], 'files, time and chance go through sys.h');

done_testing;
