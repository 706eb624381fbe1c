/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/sys.h"

/* Linux writes at most this much in one call anyway. */
#define FILE_IO_MAX ((size_t)0x7ffff000)

/* Step in which a file of unknown size is read. */
#define FILE_READ_STEP (64 * KIB)

/* True, with errno set, when a test wants the call to fail. */
static bool
file_fault(const char *point)
{
    int number = fault(point);

    if (number == 0)
        return false;
    errno = number;
    return true;
}

/* The path behind a descriptor, for messages. */
static const char *
file_fd_path(int fd, char path[PATH_MAX])
{
    int saved = errno;
    char link[40];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = sys.readlink(link, path, PATH_MAX - 1);
    if (n < 0)
        n = snprintf(path, PATH_MAX, "descriptor %d", fd);
    path[n] = '\0';
    errno = saved;
    return path;
}

static int
file_fd_failed(int fd, const char *what, struct err *err)
{
    char path[PATH_MAX];

    return err_sys(err, "%s: %s", file_fd_path(fd, path), what);
}

int
file_open(const char *path, int flags, mode_t mode, struct err *err)
{
    int fd;

    if (file_fault("file.open"))
        return err_sys(err, "%s: open", path);
    do
        fd = sys.open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return err_sys(err, "%s: open", path);
    return fd;
}

void
file_close(int fd)
{
    if (fd >= 0)
        sys.close(fd);
}

int
file_pwrite(int fd, const void *ptr, size_t len, uint64_t offset,
    struct err *err)
{
    struct iovec iov = {(void *)(uintptr_t)ptr, len};

    return file_pwritev(fd, &iov, 1, offset, err);
}

/* Takes n written bytes off the front of the vectors. */
static void
iov_advance(struct iovec **iov, int *count, size_t n)
{
    while (*count > 0 && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        ++*iov;
        --*count;
    }
    if (n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

int
file_pwritev(int fd, struct iovec *iov, int count, uint64_t offset,
    struct err *err)
{
    if (file_fault("file.pwrite"))
        return file_fd_failed(fd, "write", err);
    iov_advance(&iov, &count, 0);
    while (count > 0) {
        ssize_t n = sys.pwritev(fd, iov, MIN(count, IOV_MAX), (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return file_fd_failed(fd, "write", err);
        offset += (uint64_t)n;
        iov_advance(&iov, &count, (size_t)n);
    }
    return 0;
}

static _Thread_local uint64_t thread_bytes;

uint64_t
file_thread_bytes(void)
{
    return thread_bytes;
}

int
file_pread(int fd, void *ptr, size_t len, uint64_t offset, struct err *err)
{
    char *dst = ptr, path[PATH_MAX];

    if (file_fault("file.pread"))
        return file_fd_failed(fd, "read", err);
    while (len > 0) {
        ssize_t n = sys.pread(fd, dst, MIN(len, FILE_IO_MAX), (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_fd_failed(fd, "read", err);
        if (n == 0)
            return err_set(err, ERR_CORRUPT, "%s: ends at byte %llu, %zu more "
                "expected", file_fd_path(fd, path),
                (unsigned long long)offset, len);
        thread_bytes += (uint64_t)n;
        dst += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int
file_datasync(int fd, struct err *err)
{
    int rc;

    if (file_fault("file.datasync"))
        return file_fd_failed(fd, "fdatasync", err);
    do
        rc = sys.fdatasync(fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : file_fd_failed(fd, "fdatasync", err);
}

int
file_sync_dir(const char *path, struct err *err)
{
    int fd, rc;

    if (file_fault("file.syncdir"))
        return err_sys(err, "%s: fsync", path);
    fd = file_open(path, O_RDONLY | O_DIRECTORY, 0, err);
    if (fd < 0)
        return -1;
    do
        rc = sys.fsync(fd);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        err_sys(err, "%s: fsync", path);
    file_close(fd);
    return rc == 0 ? 0 : -1;
}

int
file_rename(const char *from, const char *to, struct err *err)
{
    if (file_fault("file.rename") || sys.rename(from, to) != 0)
        return err_sys(err, "%s: rename to %s", from, to);
    return 0;
}

int
file_unlink(const char *path, struct err *err)
{
    if (file_fault("file.unlink")
        || (sys.unlink(path) != 0 && errno != ENOENT))
        return err_sys(err, "%s: unlink", path);
    return 0;
}

int
file_mkdirs(const char *path, mode_t mode, struct err *err)
{
    char copy[PATH_MAX];
    size_t len = strlen(path);
    struct stat st;

    if (len == 0 || len >= sizeof(copy))
        return err_set(err, ERR_INVALID, "%s: mkdir: the path is %s", path,
            len == 0 ? "empty" : "too long");
    if (file_fault("file.mkdirs"))
        return err_sys(err, "%s: mkdir", path);
    memcpy(copy, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        copy[i] = '\0';
        if (sys.mkdir(copy, mode) != 0 && errno != EEXIST) {
            /* EROFS and EACCES come before EEXIST for some parents. */
            int saved = errno;

            if (sys.stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)) {
                errno = saved;
                return err_sys(err, "%s: mkdir", copy);
            }
        }
        copy[i] = path[i];
    }
    if (sys.stat(path, &st) != 0)
        return err_sys(err, "%s: mkdir", path);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return err_sys(err, "%s: mkdir", path);
    }
    return 0;
}

int
file_size(int fd, uint64_t *bytes, struct err *err)
{
    struct stat st;

    if (sys.fstat(fd, &st) != 0)
        return file_fd_failed(fd, "fstat", err);
    *bytes = (uint64_t)st.st_size;
    return 0;
}

void
file_forget(const char *path)
{
    int fd = file_open(path, O_RDONLY, 0, NULL);

    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    file_close(fd);
}

int
file_allocate(int fd, uint64_t offset, uint64_t len, struct err *err)
{
    uint64_t bytes;
    int rc;

    if (file_fault("file.allocate"))
        return file_fd_failed(fd, "fallocate", err);
    do
        rc = sys.fallocate(fd, 0, (off_t)offset, (off_t)len);
    while (rc != 0 && errno == EINTR);
    if (rc == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return file_fd_failed(fd, "fallocate", err);

    /* Such a file system can only be given the size. */
    if (file_size(fd, &bytes, err) != 0)
        return -1;
    if (bytes < offset + len && sys.ftruncate(fd, (off_t)(offset + len)) != 0)
        return file_fd_failed(fd, "ftruncate", err);
    return 0;
}

int
file_read_all(const char *path, struct sb *out, struct err *err)
{
    int fd = file_open(path, O_RDONLY, 0, err), rc = -1;
    struct stat st;
    size_t step = FILE_READ_STEP;

    if (fd < 0)
        return -1;
    if (file_fault("file.pread") || sys.fstat(fd, &st) != 0) {
        err_sys(err, "%s: read", path);
        goto out;
    }
    if (st.st_size > 0 && (uint64_t)st.st_size < out->max - out->len)
        step = MIN((size_t)st.st_size + 1, FILE_IO_MAX);
    for (;;) {
        /* One byte beyond the maximum tells a full buffer from a larger file. */
        size_t room = MIN(step, out->max - out->len);
        char probe, *dst = room > 0 ? sb_reserve(out, room) : &probe;
        ssize_t n;

        if (dst == NULL) {
            err_set(err, ERR_LIMIT, "%s: out of memory", path);
            goto out;
        }
        n = sys.read(fd, dst, MAX(room, 1));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_sys(err, "%s: read", path);
            goto out;
        }
        if (n == 0)
            break;
        if (room == 0) {
            err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", path,
                out->max);
            goto out;
        }
        sb_advance(out, (size_t)n);
        step = FILE_READ_STEP;
    }
    rc = 0;
out:
    file_close(fd);
    return rc;
}

/* Syncs the directory that holds path. */
static int
file_sync_parent(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX];

    if (slash == NULL)
        return file_sync_dir(".", err);
    snprintf(dir, sizeof(dir), "%.*s", MAX((int)(slash - path), 1), path);
    return file_sync_dir(dir, err);
}

int
file_replace(const char *path, const void *ptr, size_t len, mode_t mode,
    struct err *err)
{
    char temporary[PATH_MAX];
    int fd, n;

    n = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return err_set(err, ERR_INVALID, "%s: the path is too long", path);
    fd = file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode, err);
    if (fd < 0)
        return -1;
    if (file_pwrite(fd, ptr, len, 0, err) != 0
        || file_datasync(fd, err) != 0
        || file_rename(temporary, path, err) != 0) {
        sys.unlink(temporary);
        file_close(fd);
        return -1;
    }
    file_close(fd);
    return file_sync_parent(path, err);
}

int
file_list(const char *path, file_name_fn fn, void *arg, struct err *err)
{
    DIR *dir = file_fault("file.list") ? NULL : sys.opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (dir == NULL)
        return err_sys(err, "%s: opendir", path);
    while (errno = 0, (entry = sys.readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0
            || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fn(entry->d_name, arg) != 0)
            break;
    }
    if (entry == NULL && errno != 0)
        rc = err_sys(err, "%s: readdir", path);
    sys.closedir(dir);
    return rc;
}

int
file_total_bytes(const char *path, uint64_t *bytes, struct err *err)
{
    struct statvfs st;

    if (sys.statvfs(path, &st) != 0)
        return err_sys(err, "%s: statvfs", path);
    *bytes = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

int
file_free_bytes(const char *path, uint64_t *bytes, struct err *err)
{
    struct statvfs st;

    /* ENOSPC here means: pretend that nothing is free. */
    if (file_fault("file.free")) {
        if (errno != ENOSPC)
            return err_sys(err, "%s: statvfs", path);
        *bytes = 0;
        return 0;
    }
    if (sys.statvfs(path, &st) != 0)
        return err_sys(err, "%s: statvfs", path);
    *bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}
