/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static int
kernel_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

static ssize_t
kernel_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return pwritev(fd, iov, count, offset);
}

static int
kernel_stat(const char *path, struct stat *st)
{
    return stat(path, st);
}

static int
kernel_fstat(int fd, struct stat *st)
{
    return fstat(fd, st);
}

static void *
kernel_mmap(int fd, size_t len)
{
    return mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
}

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static int64_t
kernel_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

static int64_t
kernel_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void
kernel_sleep_ns(int64_t ns)
{
    struct timespec wait = {ns / NS_PER_SEC, ns % NS_PER_SEC};

    while (nanosleep(&wait, &wait) != 0 && errno == EINTR)
        ;
}

static int
kernel_random(void *ptr, size_t len)
{
    char *dst = ptr;

    while (len > 0) {
        ssize_t n = getrandom(dst, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        dst += n;
        len -= (size_t)n;
    }
    return 0;
}

#define SYS_KERNEL \
    { \
        .open = kernel_open, .close = close, .read = read, .pread = pread, \
        .pwritev = kernel_pwritev, .fdatasync = fdatasync, .fsync = fsync, \
        .rename = rename, .unlink = unlink, .link = link, .mkdir = mkdir, \
        .rmdir = rmdir, .fallocate = fallocate, .ftruncate = ftruncate, \
        .fstat = kernel_fstat, .stat = kernel_stat, .access = access, \
        .readlink = readlink, .opendir = opendir, .readdir = readdir, \
        .closedir = closedir, .statvfs = statvfs, .flock = flock, \
        .mmap = kernel_mmap, .wall_ns = kernel_wall_ns, \
        .mono_ns = kernel_mono_ns, .sleep_ns = kernel_sleep_ns, \
        .random = kernel_random, \
    }

const struct sys sys_kernel = SYS_KERNEL;
struct sys sys = SYS_KERNEL;

void
sys_init(void)
{
    sys = sys_kernel;
    sys_clock_init();
    sys_seed_init();
    sys_fault_init();
}
