/* SPDX-License-Identifier: BSD-2-Clause */

/* Calls that fail, die or are counted because a test wants it; see sys.h. */

#include "core/base.h"
#include "core/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/fault.h"

struct count {
    char name[56];
    _Atomic uint64_t calls; /* 0: free; the name is set after the first */
};

static struct sys under; /* the calls below this layer */
static struct count *counts;

/* --- counts --- */

/* Entries are found again by name; a race makes two, and readers add up. */
static void
count_call(const char *name)
{
    char full[sizeof(counts->name)];

    snprintf(full, sizeof(full), "%s@%s", name, fault_role());
    for (unsigned i = 0; i < SYS_COUNTS_MAX; i++) {
        struct count *count = &counts[i];
        uint64_t seen = 0;

        if (atomic_compare_exchange_strong(&count->calls, &seen, 1)) {
            memcpy(count->name, full, sizeof(full));
            return;
        }
        if (strncmp(count->name, full, sizeof(full)) == 0) {
            atomic_fetch_add(&count->calls, 1);
            return;
        }
    }
}

static void
counts_open(const char *path)
{
    int fd = sys_kernel.open(path, O_RDWR | O_CLOEXEC, 0);
    void *map = MAP_FAILED;

    if (fd >= 0 && sys_kernel.ftruncate(fd, SYS_COUNTS_BYTES) == 0)
        map = mmap(NULL, SYS_COUNTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
            fd, 0);
    if (map == MAP_FAILED) {
        fprintf(stderr, "spoor: SPOOR_SYS_COUNT: %s: %m\n", path);
        _exit(2);
    }
    sys_kernel.close(fd);
    counts = map;
}

/* --- the calls --- */

/* True, with errno set, if the call must fail; *what says what else. */
static bool
visit(const char *point, enum fault_action *what)
{
    int number = 0;

    *what = FAULT_NONE;
    if (counts != NULL)
        count_call(point + strlen("sys."));
    if (fault_is_armed)
        *what = fault_visit(point, &number);
    if (*what != FAULT_ERRNO)
        return false;
    errno = number;
    return true;
}

static bool
fails(const char *point)
{
    enum fault_action what;

    return visit(point, &what);
}

static int
faulty_open(const char *path, int flags, mode_t mode)
{
    return fails("sys.open") ? -1 : under.open(path, flags, mode);
}

/* The descriptor is gone even when close() says EIO. */
static int
faulty_close(int fd)
{
    bool failed = fails("sys.close");
    int saved = errno, rc = under.close(fd);

    if (!failed)
        return rc;
    errno = saved;
    return -1;
}

static ssize_t
faulty_read(int fd, void *ptr, size_t len)
{
    enum fault_action what;

    if (visit("sys.read", &what))
        return -1;
    if (what == FAULT_SHORT)
        len = (len + 1) / 2;
    return under.read(fd, ptr, len);
}

static ssize_t
faulty_pread(int fd, void *ptr, size_t len, off_t offset)
{
    enum fault_action what;

    if (visit("sys.pread", &what))
        return -1;
    if (what == FAULT_SHORT)
        len = (len + 1) / 2;
    return under.pread(fd, ptr, len, offset);
}

/* The first half of the bytes. */
static ssize_t
write_half(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct iovec half[IOV_MAX];
    size_t left = 0;
    int n;

    for (int i = 0; i < count; i++)
        left += iov[i].iov_len;
    left = (left + 1) / 2;
    for (n = 0; n < count && left > 0; n++) {
        half[n] = iov[n];
        half[n].iov_len = MIN(half[n].iov_len, left);
        left -= half[n].iov_len;
    }
    return under.pwritev(fd, half, n, offset);
}

static ssize_t
faulty_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    enum fault_action what;

    if (visit("sys.pwritev", &what))
        return -1;
    if (what == FAULT_SHORT)
        return write_half(fd, iov, count, offset);
    if (what == FAULT_TEAR) {
        (void)write_half(fd, iov, count, offset);
        fault_die();
    }
    return under.pwritev(fd, iov, count, offset);
}

static int
faulty_fdatasync(int fd)
{
    return fails("sys.fdatasync") ? -1 : under.fdatasync(fd);
}

static int
faulty_fsync(int fd)
{
    return fails("sys.fsync") ? -1 : under.fsync(fd);
}

static int
faulty_rename(const char *from, const char *to)
{
    return fails("sys.rename") ? -1 : under.rename(from, to);
}

static int
faulty_unlink(const char *path)
{
    return fails("sys.unlink") ? -1 : under.unlink(path);
}

static int
faulty_link(const char *from, const char *to)
{
    return fails("sys.link") ? -1 : under.link(from, to);
}

static int
faulty_mkdir(const char *path, mode_t mode)
{
    return fails("sys.mkdir") ? -1 : under.mkdir(path, mode);
}

static int
faulty_rmdir(const char *path)
{
    return fails("sys.rmdir") ? -1 : under.rmdir(path);
}

static int
faulty_fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fails("sys.fallocate") ? -1
        : under.fallocate(fd, mode, offset, len);
}

static int
faulty_ftruncate(int fd, off_t bytes)
{
    return fails("sys.ftruncate") ? -1 : under.ftruncate(fd, bytes);
}

static int
faulty_fstat(int fd, struct stat *st)
{
    return fails("sys.fstat") ? -1 : under.fstat(fd, st);
}

static int
faulty_stat(const char *path, struct stat *st)
{
    return fails("sys.stat") ? -1 : under.stat(path, st);
}

static int
faulty_access(const char *path, int mode)
{
    return fails("sys.access") ? -1 : under.access(path, mode);
}

static DIR *
faulty_opendir(const char *path)
{
    return fails("sys.opendir") ? NULL : under.opendir(path);
}

static struct dirent *
faulty_readdir(DIR *dir)
{
    return fails("sys.readdir") ? NULL : under.readdir(dir);
}

static int
faulty_statvfs(const char *path, struct statvfs *st)
{
    return fails("sys.statvfs") ? -1 : under.statvfs(path, st);
}

static int
faulty_flock(int fd, int operation)
{
    return fails("sys.flock") ? -1 : under.flock(fd, operation);
}

static void *
faulty_mmap(int fd, size_t len)
{
    return fails("sys.mmap") ? MAP_FAILED : under.mmap(fd, len);
}

void
sys_fault_init(void)
{
    const char *path = getenv("SPOOR_SYS_COUNT");

    if (path != NULL)
        counts_open(path);
    if (path == NULL && !fault_is_armed)
        return;
    under = sys;
    sys.open = faulty_open;
    sys.close = faulty_close;
    sys.read = faulty_read;
    sys.pread = faulty_pread;
    sys.pwritev = faulty_pwritev;
    sys.fdatasync = faulty_fdatasync;
    sys.fsync = faulty_fsync;
    sys.rename = faulty_rename;
    sys.unlink = faulty_unlink;
    sys.link = faulty_link;
    sys.mkdir = faulty_mkdir;
    sys.rmdir = faulty_rmdir;
    sys.fallocate = faulty_fallocate;
    sys.ftruncate = faulty_ftruncate;
    sys.fstat = faulty_fstat;
    sys.stat = faulty_stat;
    sys.access = faulty_access;
    sys.opendir = faulty_opendir;
    sys.readdir = faulty_readdir;
    sys.statvfs = faulty_statvfs;
    sys.flock = faulty_flock;
    sys.mmap = faulty_mmap;
}
